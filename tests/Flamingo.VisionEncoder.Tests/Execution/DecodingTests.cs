using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.VisionEncoder.Execution;

namespace Flamingo.VisionEncoder.Tests.Execution;

/// <summary>Which pictures are decoded, in which order, and which never are.</summary>
public sealed class DecodingTests(Models models)
{
    private readonly ScriptedDecoder _decoder = new();

    [Fact(Timeout = 60_000)]
    public async Task Twenty_cancelled_calls_decode_nothing_but_what_they_had_begun_and_end_with_it()
    {
        var cancellation = TestContext.Current.CancellationToken;
        using var stage = Stage(decodes: 2, frames: 512);
        for (var call = 0; call < 20; call++)
        {
            using var caller = new CancellationTokenSource();
            var encoding = stage.EncodeAsync(new(Pictures(1, 16)), caller.Token);
            await _decoder.BegunAsync(cancellation);
            await _decoder.BegunAsync(cancellation);
            await caller.CancelAsync();
            Assert.Equal((false, 16), (encoding.IsCompleted, stage.QueuedFrames)); // two pictures are still being decoded
            _decoder.End(2);
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => encoding);
            Assert.Equal(0, stage.QueuedFrames);
        }

        _decoder.End();
        Assert.Single((await stage.EncodeAsync(new(Pictures(99, 1)), cancellation)).Pictures);
        Assert.Equal((20 * 2) + 1, _decoder.Decodes);
        Assert.Equal(1, (await stage.GetStatisticsAsync(cancellation)).Pictures);
    }

    [Fact(Timeout = 60_000)]
    public async Task Calls_take_turns_at_the_decoders()
    {
        var cancellation = TestContext.Current.CancellationToken;
        using var stage = Stage(decodes: 1, frames: 512);
        var large = stage.EncodeAsync(new(Pictures(1, 4)), cancellation);
        Assert.Equal(1, await _decoder.BegunAsync(cancellation));
        var others = new[]
        {
            stage.EncodeAsync(new(Pictures(100, 1)), cancellation), stage.EncodeAsync(new(Pictures(200, 2)), cancellation),
        };
        List<byte> order = [];
        for (var picture = 0; picture < 6; picture++)
        {
            _decoder.End();
            order.Add(await _decoder.BegunAsync(cancellation));
        }

        _decoder.End();
        Assert.Equal([2, 100, 200, 3, 201, 4], order);
        Assert.Equal([4, 1, 2], (await Task.WhenAll([large, .. others])).Select(encoding => encoding.Pictures.Count));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_stage_with_too_many_frames_refuses_with_a_time_and_has_room_again()
    {
        var cancellation = TestContext.Current.CancellationToken;
        using var stage = Stage(decodes: 1, frames: 4);
        var larger = stage.EncodeAsync(new(Pictures(1, 5)), cancellation); // more than the bound, but the stage is empty
        await _decoder.BegunAsync(cancellation);
        await RefusedAsync(1);
        _decoder.End(5);
        await larger;
        var three = stage.EncodeAsync(new(Pictures(1, 3)), cancellation);
        await RefusedAsync(2);
        var one = stage.EncodeAsync(new(Pictures(1, 1)), cancellation);
        _decoder.End(4);
        await Task.WhenAll(three, one);
        Assert.Equal(0, stage.QueuedFrames);

        async Task RefusedAsync(int pictures)
        {
            var refusal = await Assert.ThrowsAsync<FlamingoException>(() => stage.EncodeAsync(new(Pictures(1, pictures)), cancellation));
            Assert.Equal(FlamingoErrorKind.Overloaded, refusal.Kind);
            Assert.InRange(refusal.RetryAfter!.Value, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(1));
            Assert.Contains("VisionEncoder:MaxQueuedFrames", refusal.Message, StringComparison.Ordinal);
        }
    }

    [Fact(Timeout = 60_000)]
    public async Task A_decoder_that_hangs_is_seen_and_a_stage_that_stops_ends_its_calls()
    {
        var cancellation = TestContext.Current.CancellationToken;
        var stage = Stage(decodes: 1, frames: 512);
        var calls = new[] { stage.EncodeAsync(new(Pictures(1, 2)), cancellation), stage.EncodeAsync(new(Pictures(1, 2)), cancellation) };
        await _decoder.BegunAsync(cancellation);
        Assert.Equal("decoder 1 of the vision encoder", Assert.Single(stage.Workers, worker => worker.Running is not null).Name);
        stage.Dispose();
        Assert.Equal(FlamingoErrorKind.Unavailable, (await Assert.ThrowsAsync<FlamingoException>(() => calls[1])).Kind);
        _decoder.End();
        Assert.Equal(FlamingoErrorKind.Unavailable, (await Assert.ThrowsAsync<FlamingoException>(() => calls[0])).Kind);
        await Assert.ThrowsAsync<FlamingoException>(() => stage.EncodeAsync(new(Pictures(1, 1)), cancellation));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_small_picture_never_waits_for_large_ones_only()
    {
        var cancellation = TestContext.Current.CancellationToken;
        using var stage = Stage(decodes: 2, frames: 512);
        var large = stage.EncodeAsync(new(Pictures(ScriptedDecoder.Large, 3)), cancellation);
        Assert.Equal(ScriptedDecoder.Large, await _decoder.BegunAsync(cancellation));
        var small = stage.EncodeAsync(new(Pictures(1, 2)), cancellation);
        Assert.Equal(1, await _decoder.BegunAsync(cancellation)); // and not the second large picture, although its call came first
        _decoder.End(5);
        await Task.WhenAll(large, small);
        Assert.Equal(5, _decoder.Decodes);
    }

    private static VisualInput[] Pictures(int first, int count) =>
        [.. Enumerable.Range(first, count).Select(number => VisualInput.Still(new[] { (byte)number }))];

    private VisionEncoderStage Stage(int decodes, int frames) => models.NewStage(
        models.DirectoryOf("shapes"), new VisionEncoderOptions { MaxDecodes = decodes, MaxQueuedFrames = frames }, decoder: _decoder);
}
