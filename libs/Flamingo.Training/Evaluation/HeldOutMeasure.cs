using Flamingo.Checkpoints;
using Flamingo.Evaluation.Datasets;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Training.Data;
using Flamingo.Training.Loop;
using Flamingo.Training.Network;
using static TorchSharp.torch;

namespace Flamingo.Training.Evaluation;

/// <summary>
/// Asks held-out episodes while a bridge is trained. An answer is right if every token of it, and the token that ends it, is the likeliest
/// one: then greedy decoding gives exactly this answer.
/// </summary>
/// <param name="config">Sizes and special tokens.</param>
/// <param name="network">The network in training.</param>
/// <param name="tokenizer">The model's tokenizer.</param>
/// <param name="features">Features of pictures, [pictures, patches, width]; the measure disposes them.</param>
public sealed class HeldOutMeasure(
    ModelConfig config, BridgeNetwork network, ITokenizer tokenizer, Func<IReadOnlyList<PictureFile>, Tensor> features)
{
    private const int AtOnce = 32;

    /// <exception cref="CheckpointException">A picture cannot be decoded.</exception>
    /// <returns>Share of right answers and number of episodes, by task and number of shots.</returns>
    public IReadOnlyDictionary<string, (double Accuracy, int Count)> Run(
        IReadOnlyList<BenchmarkItem> episodes, CancellationToken cancellation)
    {
        var results = new SortedDictionary<string, (double, int)>(StringComparer.Ordinal);
        foreach (var group in Asked(episodes).GroupBy(one => one.Name, one => one.Episode))
        {
            var (right, count) = (0, 0);
            foreach (var some in group.OrderBy(one => one.Shots!.Count).Chunk(AtOnce))
            {
                cancellation.ThrowIfCancellationRequested();
                right += Right(some);
                count += some.Length;
            }

            results[group.Key] = (right / (double)count, count);
        }

        return results;
    }

    private static IEnumerable<(string Name, BenchmarkItem Episode)> Asked(IEnumerable<BenchmarkItem> episodes) =>
        from episode in episodes
        from shots in episode.ShotCounts!
        select ($"{episode.Group} at {shots} shots", episode with { Shots = [.. episode.Shots!.Take(shots)] });

    private int Right(IReadOnlyList<BenchmarkItem> episodes)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var sequences = episodes.Select(Sequence).ToList();
        var batch = BatchPlan.Pad(sequences, config.Tokens.Padding?.Id ?? 0);
        using var pictures = Features([.. sequences.SelectMany(sequence => sequence.Pictures)], episodes);
        var x = network.Forward(batch, pictures);
        var counted = batch.Places.ToList();
        var likeliest = network.Logits(x, [.. counted.Select(one => one.Place)]).argmax(-1).data<long>().ToArray();
        return counted.Index().GroupBy(one => one.Item.Place / batch.Length)
            .Count(episode => episode.All(one => likeliest[one.Index] == one.Item.Label));
    }

    private Tensor Features(IReadOnlyList<PictureFile> pictures, IReadOnlyList<BenchmarkItem> episodes)
    {
        try
        {
            return features(pictures);
        }
        catch (InvalidDataException exception)
        {
            var paths = episodes.SelectMany(PicturePaths);
            throw new CheckpointException($"{paths.Zip(pictures).First(one => !CanRead(one.Second)).First} cannot be decoded. Repair the "
                + "picture, or take its episode out of the file.", exception);
        }
    }

    private bool CanRead(PictureFile picture)
    {
        try
        {
            features([picture]).Dispose();
            return true;
        }
        catch (InvalidDataException)
        {
            return false;
        }
    }

    private TrainingSequence Sequence(BenchmarkItem episode)
    {
        var (image, end) = (config.Tokens.Image.Text, config.Tokens.EndOfChunk.Text);
        var prompt = string.Concat(episode.Shots!.Select(shot => $"{Text(shot)}{shot.Answer}{end}")) + Text(episode);
        string Text(BenchmarkItem item) => string.Concat(item.Parts.Select(part => part is TextPart { Text: var text } ? text : image));
        int[] Ids(string text) => config.Tokens.Beginning is { } beginning
            ? [beginning.Id, .. tokenizer.Encode(text)] : [.. tokenizer.Encode(text)];
        var (before, whole) = (Ids(prompt), Ids(prompt + episode.Answer + end));
        var same = before.Zip(whole).TakeWhile(pair => pair.First == pair.Second).Count();
        return new TrainingSequence(
            whole, [.. whole.Index().Select(one => one.Index < same ? TrainingBatch.Ignored : one.Item)], Pictures(episode), "")
        {
            Descriptions = [],
        };
    }

    private static PictureFile[] Pictures(BenchmarkItem episode) =>
        [.. PicturePaths(episode).Select(path => new PictureFile(File.ReadAllBytes(path), Flipped: false))];

    private static IEnumerable<string> PicturePaths(BenchmarkItem episode) =>
        episode.Shots!.Append(episode).SelectMany(item => item.Parts).OfType<PicturePart>().Select(picture => picture.File);
}
