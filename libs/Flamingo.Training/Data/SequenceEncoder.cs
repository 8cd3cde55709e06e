using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Training.Network;

namespace Flamingo.Training.Data;

/// <summary>What became of a sample.</summary>
/// <param name="Sequence">The sequence; null if a rule leaves the sample out.</param>
/// <param name="Rule">The rule that leaves it out.</param>
/// <param name="IsSingle">Whether the sequence is used in some epochs only, because it is a document with a single picture.</param>
internal readonly record struct EncodedSample(TrainingSequence? Sequence, string? Rule = null, bool IsSingle = false);

/// <summary>Turns samples into token ids, labels and pictures.</summary>
public sealed class SequenceEncoder(ModelConfig config, ITokenizer tokenizer, DataOptions options)
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly LabeledText _text = new(tokenizer, config.Tokens);

    /// <param name="draw">Decides about flips.</param>
    /// <exception cref="SampleException">The sample is broken.</exception>
    internal EncodedSample Encode(RawSample sample, Draw draw)
    {
        try
        {
            return sample switch
            {
                PairSample pair => Pair(pair, draw),
                DocumentSample document => Document(document, draw),
                ExampleSample example => Example(example, draw),
                UnreadableSample unreadable => throw new SampleException(unreadable.Broken.Kind, unreadable.Broken.Cause),
                _ => throw new UnreachableException(),
            };
        }
        catch (InvalidOperationException)
        {
            // .NET finds invalid UTF-8 and halves of surrogate pairs only when it reads a string of the parsed text.
            throw new SampleException(BrokenKind.BadText, "a text has an incomplete character.");
        }
    }

    private EncodedSample Pair(PairSample pair, Draw draw)
    {
        var caption = Caption(pair).Trim();
        if (caption.Length == 0) throw new SampleException(BrokenKind.BadText, "the caption is empty.");
        if (caption.Contains(config.Tokens.EndOfChunk.Text, StringComparison.Ordinal))
            throw new SampleException(BrokenKind.BadText, $"the caption holds {config.Tokens.EndOfChunk.Text}, which ends a chunk.");
        var (ids, labels) = _text.Read(
            [SequencePart.Picture, new(caption + config.Tokens.EndOfChunk.Text)], LabelRule.All, ends: true, options.MaxPairTokens);
        return new EncodedSample(Sequence(ids, labels, [pair.Picture], [null], pair.Origin, options.FlipProbability, draw));
    }

    private EncodedSample Document(DocumentSample document, Draw draw)
    {
        if (DocumentReader.Read(document.Json, config.Tokens.EndOfChunk.Text, options) is not var (parts, pictures))
            return new EncodedSample(null, "pictures too small or unlike their text");
        var (ids, labels) = _text.Read(parts, LabelRule.Chunks, ends: true, options.MaxDocumentTokens);
        var count = ids.Count(id => id == config.Tokens.Image.Id); // the limit of tokens may have cut pictures off
        if (count < Math.Max(1, options.MinPictures)) return new EncodedSample(null, "too few pictures");
        if (!Learns(labels)) return new EncodedSample(null, "nothing to learn before the limit of tokens");
        var files = pictures.Take(count).Select(file => (ReadOnlyMemory<byte>)file).ToArray();
        return new EncodedSample(
            Sequence(ids, labels, files, new string?[count], document.Origin, options.FlipProbability, draw), IsSingle: count == 1);
    }

    private EncodedSample Example(ExampleSample example, Draw draw)
    {
        var content = ExampleReader.Read(example);
        var most = options.MaxExampleTokens > 0 ? options.MaxExampleTokens : config.Language.ContextLength;
        var (ids, labels) = _text.Read(content.Parts, LabelRule.AfterPicture, ends: false, int.MaxValue);
        if (ids.Length > most)
            throw new SampleException(BrokenKind.TooLong, $"the example has {ids.Length} tokens, and the limit is {most}.");
        var files = content.Pictures.Select(picture => (ReadOnlyMemory<byte>)ExampleReader.Picture(picture.Path, options)).ToArray();
        return new EncodedSample(Sequence(ids, labels, files, [.. content.Pictures.Select(picture => picture.Description)], example.Origin,
            options.ExampleFlipProbability, draw));
    }

    private static TrainingSequence Sequence(int[] ids, int[] labels, ReadOnlyMemory<byte>[] files, string?[] descriptions, string origin,
        double flips, Draw draw) => Learns(labels)
        ? new TrainingSequence(
            ids, labels, [.. files.Select((file, index) => new PictureFile(file, draw.Of(index).Uniform() < flips))], origin)
        {
            Descriptions = descriptions,
        }
        : throw new SampleException(BrokenKind.NothingToLearn, "no token after a picture counts in the loss.");

    // The first label never counts, because no token stands before it.
    private static bool Learns(int[] labels) => labels.AsSpan(1).ContainsAnyExcept(TrainingBatch.Ignored);

    private static string Caption(PairSample pair)
    {
        if (!pair.CaptionIsJson) return Utf8(pair.Caption);
        using var document = DocumentReader.Parse(pair.Caption);
        return document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty("caption", out var caption)
            && caption.ValueKind == JsonValueKind.String
                ? caption.GetString()!
                : throw new SampleException(BrokenKind.MissingPartner, "the .json beside the picture has no text 'caption'.");
    }

    private static string Utf8(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            return Strict.GetString(bytes.Span);
        }
        catch (DecoderFallbackException)
        {
            throw new SampleException(BrokenKind.BadText, "the text is not UTF-8.");
        }
    }
}
