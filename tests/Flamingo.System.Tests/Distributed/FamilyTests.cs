using System.Security.Cryptography;
using Flamingo.Abstractions;
using Flamingo.Cli.Verifying;
using Flamingo.Client;
using Flamingo.Import;
using Flamingo.Stages;
using Flamingo.Testing;
using Flamingo.Transport.Remote;

namespace Flamingo.SystemTests.Distributed;

/// <summary>
/// Imports every family of published checkpoints, serves it with four processes, and compares answers over gRPC with golden values.
/// </summary>
public sealed class FamilyTests(Stack shared) : HostTests(shared)
{
    private const int GreedyTokens = 12;

    [Theory(Timeout = 180_000)]
    [InlineData("mpt1b", 1)]
    [InlineData("mpt7b", 2)]
    [InlineData("neox", 2)]
    [InlineData("pythia", 4)]
    [InlineData("llama", 2)]
    [InlineData("idefics", 0)]
    public async Task Imported_and_served_it_answers_as_the_original_did(string family, int every)
    {
        var source = RepositoryFiles.Path("tests", "reference", "families", family);
        var model = Path.Combine(NewFolder(), family);
        string Part(string name) => Path.Combine(source, name);
        _ = family == "idefics"
            ? IdeficsImport.Run(new IdeficsSource(source), model, null, Cancellation)
            : OpenFlamingoImport.Run(new OpenFlamingoSource(Part("vision"), Part("language"), Part("checkpoint.pt"), every), model, null,
                Cancellation);
        var goldens = Golden.OpenAll(source, _ => { });
        using var golden = goldens[0];
        foreach (var other in goldens.Skip(1)) other.Tensors.Dispose(); // only the prompts of these files are used
        HostProcess[] stages = [.. new[] { "VisionEncoder", "Resampler", "LanguageModel" }.Select(
            stage => Start(stage, null, [("Model__Directory", model)]))];
        await Task.WhenAll(stages.Select(stage => stage.ReadyAsync()));
        var gateway = await StartGatewayAsync(stages[0].Port, stages[1].Port, stages[2].Port);
        var pictures = golden.Pictures.Select(
            name => (ReadOnlyMemory<byte>)File.ReadAllBytes(RepositoryFiles.Path("tests", "reference", "pictures", name))).ToList();

        var options = new RemoteStageOptions();
        using var toVision = StageChannel.Open(stages[0].Address, options, TimeProvider.System);
        using var toResampler = StageChannel.Open(stages[1].Address, options, TimeProvider.System);
        using var toLanguage = StageChannel.Open(stages[2].Address, options, TimeProvider.System);
        var (tensors, language) = (new GoldenTensors(golden.Tensors), new RemoteLanguageModel(toLanguage, options.ConnectTimeout));

        // Each stage gets the original code's input, because resizing the files may differ by one grey level.
        var seen = await new RemoteVisionEncoder(toVision, options.ConnectTimeout).EncodeAsync(
            new VisionEncodeRequest([.. pictures.Select(VisualInput.Still)]), Cancellation);
        Close(tensors.Find("features")!, seen.Pictures.Select(picture => picture.Features), 0.02);
        var resampled = await new RemoteResampler(toResampler, options.ConnectTimeout).ResampleAsync(
            new ResampleRequest([.. Slices(tensors.Find("features")!).Select(Frame)]), Cancellation);
        Close(tensors.Find("latents")!, resampled.Latents, 1e-5);
        var latents = Slices(tensors.Find("latents")!);

        using var flamingo = new FlamingoClient(gateway.Address);
        Assert.All(goldens, one => Assert.NotEmpty(one.Prompts));
        Assert.Equal(family == "idefics" ? 2 : 1, goldens.Count);
        foreach (var prompt in goldens.SelectMany(one => one.Prompts))
        {
            PromptSegment[] segments = [.. prompt.Segments.Select(segment => segment.Picture is { } index
                ? (PromptSegment)new PictureSegment(Convert.ToHexStringLower(SHA256.HashData(latents[index].Bytes.Span)),
                    ChecksummedLatents.Of(latents[index]))
                : new TextSegment(segment.Text!))];
            Assert.Equal(prompt.Ids, await language.TokenizeAsync(segments, Cancellation));
            if (prompt.Greedy is { } greedy)
            {
                var sampling = new SamplingParameters { MaxTokens = Math.Max(GreedyTokens, greedy.Ids.Count) };
                Assert.Equal(greedy.Ids, (await AskAsync(language, segments, sampling)).Ids);
                FlamingoSegment[] files = [.. prompt.Segments.Select(
                    segment =>
                        segment.Picture is { } index ? (FlamingoSegment)new FlamingoPicture(pictures[index])
                            : new FlamingoText(segment.Text!))];
                Assert.Equal(greedy.Ids, await AskAsync(flamingo, files, sampling));
            }

            foreach (var (_, beams) in prompt.Beams)
            {
                var (ids, score) = await AskAsync(language, segments,
                    new SamplingParameters { MaxTokens = Math.Max(GreedyTokens, beams.Best.Ids.Count), Beams = beams.Count,
                        LengthPenalty = beams.LengthPenalty });
                Assert.Equal(beams.Best.Ids, ids);
                Assert.Equal(beams.Best.Score, score!.Value, 1e-4);
            }

            if (prompt.Rank is not { } rank) continue;
            var ranking = await language.RankAsync(new RankRequest(segments, [.. rank.Select(candidate => candidate.Text)]), Cancellation);
            foreach (var (expected, actual) in rank.Zip(ranking.Candidates))
            {
                Assert.Equal(expected.Ids, actual.Ids);
                Assert.All(expected.TokenLogLikelihoods.Zip(actual.TokenLogLikelihoods),
                    pair => Assert.Equal(pair.First, pair.Second, 1e-4));
            }
        }
    }

    private static void Close(TensorData expected, IEnumerable<TensorData> parts, double tolerance)
    {
        var (wanted, got) = (expected.ToFloats(), parts.SelectMany(part => part.ToFloats()).ToArray());
        Assert.Equal(wanted.Length, got.Length);
        Assert.InRange(wanted.Zip(got, (left, right) => Math.Abs(left - right)).Max() / wanted.Max(Math.Abs), 0, tolerance);
    }

    private static TensorData[] Slices(
        TensorData all) =>
            [.. all.ToFloats().Chunk(all.Shape[1] * all.Shape[2])
                .Select(values => TensorData.FromFloats(values, all.Shape[1], all.Shape[2]))];

    private static TensorData Frame(TensorData features) => new(features.Dtype, [1, .. features.Shape], features.Bytes);

    private static async Task<IReadOnlyList<int>> AskAsync(IFlamingo flamingo, FlamingoSegment[] segments, SamplingParameters sampling)
    {
        var ids = new List<int>();
        await foreach (var item in flamingo.GenerateAsync(new FlamingoRequest(segments, sampling), Cancellation))
            if (item is AnswerTokens tokens) ids.AddRange(tokens.Ids);
        return ids;
    }

    private static async Task<(IReadOnlyList<int> Ids, double? Score)> AskAsync(ILanguageModel language, PromptSegment[] segments,
        SamplingParameters sampling)
    {
        var (ids, score) = (new List<int>(), (double?)null);
        await foreach (var item in language.GenerateAsync(new LanguageModelRequest(segments, sampling), Cancellation))
        {
            if (item is AnswerTokens { Sample: 0 } tokens) ids.AddRange(tokens.Ids);
            if (item is AnswerFinished end) score = end.Samples.Select(sample => sample.Score).FirstOrDefault();
        }

        return (ids, score);
    }
}
