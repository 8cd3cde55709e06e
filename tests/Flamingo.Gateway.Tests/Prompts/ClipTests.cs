using Flamingo.Abstractions;
using Flamingo.Gateway.Prompts;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Prompts;

/// <summary>Tests clips in a prompt: their ids, sampling of frames, caching and refusals.</summary>
public sealed class ClipTests : IAsyncDisposable
{
    private readonly Stage _stage = new();
    private readonly ServiceProvider _services;
    private readonly IFlamingo _flamingo;

    public ClipTests()
    {
        _stage.Resampler = _stage.Resampler with { MaxFrames = 8 };
        _stage.Vision = _stage.Vision with { MaxFrames = 6 };
        _services = _stage.Services();
        _flamingo = _services.GetRequiredService<IFlamingo>();
    }

    public ValueTask DisposeAsync() => _services.DisposeAsync();

    [Fact]
    public async Task A_clip_is_encoded_once_and_its_id_is_enough_afterwards()
    {
        var clip = Clip(0, 1, 2, 3);
        var resolved = Assert.IsType<PicturesResolved>((await _flamingo.AskAsync(clip, new FlamingoText("x")))[0]);
        Assert.Equal(PictureId.Of(clip.Input), Assert.Single(resolved.Pictures).Id);
        Assert.Equal(6, Assert.Single(_stage.Inputs).MaxFrames); // 0 means as many frames as both stages accept
        Assert.Equal(3, _stage.Inputs.Single().Files.Count);
        Assert.Equal([PictureSource.Memory], await _flamingo.SourcesAsync(clip));
        Assert.Equal([PictureSource.Memory], await _flamingo.SourcesAsync(new FlamingoPictureId(resolved.Pictures[0].Id)));
    }

    [Fact]
    public async Task Other_frames_another_order_and_another_bound_are_other_clips()
    {
        foreach (var clip in new FlamingoVisual[] { Clip(0, 1, 2), Clip(0, 2, 1), Clip(0, 1), Clip(2, 1, 2), Picture(1) })
            Assert.Equal([PictureSource.Encoded], await _flamingo.SourcesAsync(clip));
        Assert.Equal(5, _stage.Encodes.Sum());
    }

    /// <summary>Computes the id as media.proto specifies it for clients.</summary>
    [Fact]
    public void The_id_is_what_the_contract_says()
    {
        // python3: sha256(b"flamingo clip 1 4 " + hex(sha256(b"\x01")) + b" " + hex(sha256(b"\x02")))
        Assert.Equal("bc602d93ae43838fc1fb5e93f07de062acb0f5e24e873c99f1789f2149d9ac36", PictureId.Of(Clip(4, 1, 2).Input));
    }

    [Theory]
    [InlineData(7, new byte[] { 1 }, "segments[0].video.max_frames")]
    [InlineData(-1, new byte[] { 1 }, "segments[0].video.max_frames")]
    [InlineData(2, new byte[0], "segments[0].video.files")]
    public async Task What_does_not_fit_is_refused_by_field(int maxFrames, byte[] files, string field) =>
        Assert.Equal(field, Assert.Single(
            (await Assert.ThrowsAsync<FlamingoException>(() => _flamingo.AskAsync(Clip(maxFrames, files)))).Faults).Field);

    [Fact]
    public async Task A_broken_frame_is_named_by_the_callers_field()
    {
        var refusal = await Assert.ThrowsAsync<FlamingoException>(
            () => _flamingo.AskAsync(new FlamingoText("x"), Clip(0, Stage.Broken, 1)));
        Assert.Equal("segments[1].video", Assert.Single(refusal.Faults).Field);
    }

    [Fact]
    public async Task A_checkpoint_without_frame_embeddings_says_so()
    {
        await using var services = new Stage().Services();
        var refusal = await Assert.ThrowsAsync<FlamingoException>(() => services.GetRequiredService<IFlamingo>().AskAsync(Clip(0, 1, 2)));
        Assert.Equal("segments[0].video", Assert.Single(refusal.Faults).Field);
        Assert.Contains("no frame embeddings", refusal.Message, StringComparison.Ordinal);
    }

    private static FlamingoVideo Clip(int maxFrames, params byte[] files) =>
        new(new VisualInput([.. files.Select(file => (ReadOnlyMemory<byte>)new[] { file })], maxFrames));
}
