using Flamingo.Abstractions;
using Flamingo.Client;
using Flamingo.Import;
using Flamingo.SystemTests.Embedded;
using Flamingo.SystemTests.Episodes;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Distributed;

/// <summary>A stage is replaced by one with another checkpoint on the same port, while the gateway keeps running.</summary>
public sealed class ReplacementTests(Stack shared) : HostTests(shared)
{
    private const string Question = "Output:";

    [Fact(Timeout = 180_000)]
    public async Task Latents_of_one_checkpoint_never_answer_for_another()
    {
        var folder = NewFolder();
        OtherCheckpoint.Write(folder);
        var (first, second, third) = (Episode.Picture("0020.png").Bytes, Episode.Picture("0021.png").Bytes,
            Episode.Picture("0022.png").Bytes);

        var original = await StartReadyAsync("VisionEncoder");
        var gateway = await StartGatewayAsync(vision: original.Port);
        using var client = new FlamingoClient(gateway.Address);
        var before = await AskAsync(client, new Prompt().Picture(first));
        var digest = before.Finished.Digests.Vision;
        Assert.Equal(digest, (await client.GetModelAsync(Cancellation)).Vision.WeightsDigest);

        await original.KillAsync();
        var other = await StartReadyAsync("VisionEncoder", original.Port, ("Model__Directory", folder));
        var between = await AskAsync(client, new Prompt().Picture(second)); // the answer from which the gateway detects the new stage
        Assert.Equal(PictureSource.Encoded, Assert.Single(between.Pictures).Source);
        Assert.NotEqual(digest, between.Finished.Digests.Vision);
        Assert.Equal(between.Finished.Digests.Vision, (await client.GetModelAsync(Cancellation)).Vision.WeightsDigest);
        await NotHeldAsync(client, before.Pictures[0].Id, between.Pictures[0].Id); // neither under the old nor under the new key

        var after = await AskAsync(client, new Prompt().Picture(first));
        Assert.Equal(PictureSource.Encoded, Assert.Single(after.Pictures).Source);
        Assert.Equal(await EmbeddedAnswerAsync(folder, first), after.Ids);
        Assert.NotEqual(before.Ids, after.Ids);
        Assert.Equal(PictureSource.Memory,
            Assert.Single((await AskAsync(client, new Prompt().PictureId(after.Pictures[0].Id))).Pictures).Source);

        await other.KillAsync();
        await StartReadyAsync("VisionEncoder", original.Port);
        var back = await AskAsync(client, new Prompt().Picture(third));
        Assert.Equal(digest, back.Finished.Digests.Vision);
        var again = await AskAsync(client, new Prompt().PictureId(before.Pictures[0].Id));
        Assert.Equal((PictureSource.Memory, digest), (Assert.Single(again.Pictures).Source, again.Finished.Digests.Vision));
        Assert.Equal(before.Ids, again.Ids);
        await NotHeldAsync(client, between.Pictures[0].Id);
        Assert.Equal(await EmbeddedAnswerAsync(null, second), (await AskAsync(client, new Prompt().Picture(second))).Ids);
    }

    [Fact(Timeout = 180_000)]
    public async Task Stages_that_do_not_fit_are_both_named()
    {
        var family = RepositoryFiles.Path("tests", "reference", "families", "mpt1b");
        var imported = Path.Combine(NewFolder(), "tiny-mpt");
        OpenFlamingoImport.Run(new OpenFlamingoSource(Path.Combine(family, "vision"), Path.Combine(family, "language"),
            Path.Combine(family, "checkpoint.pt"), 1), imported, null, Cancellation);

        var fitting = await StartReadyAsync("Resampler");
        var gateway = await StartGatewayAsync(resampler: fitting.Port);
        using var client = new FlamingoClient(gateway.Address);
        await client.EncodeAsync([Episode.Picture("0030.png").Bytes], cancellation: Cancellation);

        await fitting.KillAsync();
        var strange = await StartReadyAsync("Resampler", fitting.Port, ("Model__Directory", imported));
        // detected from an error of the stage
        await MisfitAsync(() => client.EncodeAsync([Episode.Picture("0031.png").Bytes], cancellation: Cancellation));
        await MisfitAsync(() => client.GetModelAsync(Cancellation)); // detected from the description of the stage
        await MisfitAsync(() => client.CompleteAsync(LongAnswer.Prompt, LongAnswer.Sampling, Cancellation));

        await strange.KillAsync();
        await StartReadyAsync("Resampler", fitting.Port);
        await client.EncodeAsync([Episode.Picture("0031.png").Bytes], cancellation: Cancellation);
    }

    private static async Task MisfitAsync(Func<Task> ask)
    {
        var refused = await Assert.ThrowsAsync<FlamingoException>(ask);
        Assert.Equal(FlamingoErrorKind.Mismatch, refused.Kind);
        Assert.All(new[] { "VisionEncoder 'flamingo-shapes'", "Resampler 'tiny-mpt'", "128", "32" },
            part => Assert.Contains(part, refused.Message, StringComparison.Ordinal));
    }

    private static Task<Answer> AskAsync(FlamingoClient client,
        Prompt prompt) => client.CompleteAsync(prompt.Text(Question), new SamplingParameters { MaxTokens = 14 }, Cancellation);

    private static async Task NotHeldAsync(FlamingoClient client, params string[] ids)
    {
        foreach (var id in ids)
        {
            var refused = await Assert.ThrowsAsync<FlamingoException>(() => AskAsync(client, new Prompt().PictureId(id)));
            Assert.Equal((FlamingoErrorKind.NotFound, id), (refused.Kind, Assert.Single(refused.Missing)));
        }
    }

    private static async Task<IReadOnlyList<int>> EmbeddedAnswerAsync(string? model, ReadOnlyMemory<byte> picture)
    {
        await using var embedded = await EmbeddedFlamingo.StartAsync(model, ("Model:Threads", "1"));
        return (await embedded.Flamingo.CompleteAsync(
            new FlamingoRequest([new FlamingoPicture(picture), new FlamingoText(Question)], new SamplingParameters { MaxTokens = 14 }),
            Cancellation)).Ids;
    }
}
