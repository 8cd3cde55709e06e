using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.VisionEncoder.Execution;
using Flamingo.VisionEncoder.Tests.Decoding;

namespace Flamingo.VisionEncoder.Tests.Execution;

public sealed class ClipTests(Models models)
{
    private const int Side = 64;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static byte[] Gif(int frames) =>
        Animations.Gif(Side, Side, [.. Enumerable.Range(1, frames).Select(color => new GifFrame(0, 0, Side, Side, (byte)color))]);

    private static ReadOnlyMemory<byte>[] Files(int frames) =>
        [.. Enumerable.Range(1, frames).Select(color => (ReadOnlyMemory<byte>)Animations.Still(Side, Side, color))];

    public static TheoryData<int, int, int[]> Samplings => new()
    {
        { 10, 4, [1, 3, 6, 8] }, { 3, 2, [0, 2] }, { 5, 5, [0, 1, 2, 3, 4] }, { 4, 9, [0, 1, 2, 3] }, { 10, 3, [1, 5, 8] },
    };

    /// <summary>An animation, its frames as files, and the frames as still pictures give bit-identical features.</summary>
    [Theory, MemberData(nameof(Samplings))]
    public async Task Frames_are_sampled_evenly(int there, int most, int[] expected)
    {
        using var stage = models.NewStage(models.DirectoryOf("shapes"), new() { BatchSize = 3 });
        VisualInput[] clips = [new([Gif(there)], most),
            new([Animations.WebP(Side, Side, [.. Enumerable.Range(1, there).Select(color => (byte)color)])], most),
            new(Files(there), most)];
        var encoded = (await stage.EncodeAsync(new(clips, IncludePooled: true), Cancellation)).Pictures;
        var stills = (await stage.EncodeAsync(
            new([.. expected.Select(frame => VisualInput.Still(Files(there)[frame]))], IncludePooled: true), Cancellation)).Pictures;
        var features = stills.SelectMany(still => still.Features.Bytes.ToArray()).ToArray();
        var pooled = Enumerable.Range(0, 128).Select(index => stills.Average(still => still.Pooled!.ToFloats()[index])).ToArray();
        foreach (var clip in encoded)
        {
            Assert.Equal([expected.Length, stage.Description.Patches, stage.Description.Width], clip.Features.Shape);
            Assert.True(features.AsSpan().SequenceEqual(clip.Features.Bytes.Span));
            Assert.InRange(Golden.Error(pooled, clip.Pooled!.ToFloats()), 0, 1e-6);
        }

        var statistics = await stage.GetStatisticsAsync(Cancellation);
        Assert.Equal((3 + expected.Length, 4 * expected.Length), (statistics.Pictures, statistics.Frames));
    }

    [Theory, InlineData(0), InlineData(1)]
    public async Task One_frame_of_an_animation_is_its_first_and_of_files_the_middle_one(int most)
    {
        var stage = models.Stage("shapes");
        var encoded = (await stage.EncodeAsync(
            new([new([Gif(5)], most), VisualInput.Still(Files(1)[0]), new(Files(5), most), VisualInput.Still(Files(5)[2])]),
            Cancellation)).Pictures;
        Assert.True(encoded[0].Features.Bytes.Span.SequenceEqual(encoded[1].Features.Bytes.Span));
        Assert.True(encoded[2].Features.Bytes.Span.SequenceEqual(encoded[3].Features.Bytes.Span));
        Assert.Equal(1, encoded[2].Features.Shape[0]);
    }

    [Fact]
    public async Task A_still_that_might_be_a_clip_has_one_frame()
    {
        var clip = Assert.Single((await models.Stage("shapes").EncodeAsync(new([new(Files(1), 8)]), Cancellation)).Pictures);
        Assert.Equal(1, clip.Features.Shape[0]);
    }

    [Fact]
    public async Task Limits_of_clips_are_the_operators_and_all_faults_are_named_at_once()
    {
        var options = new VisionEncoderOptions { MaxFrames = 4, MaxClipFrames = 6, MaxClipPixels = 5 * Side * Side,
            MaxPictureBytes = 5000 };
        byte[] small = Animations.Still(2, 2, 1);
        var faults = await Faults(
            options, new([Gif(3)], 4), new([Gif(3)], 5), new([], 1), new([.. Enumerable.Repeat((ReadOnlyMemory<byte>)small, 7)], 2),
            new([small, new byte[] { 1, 2, 3 }, Array.Empty<byte>()], 2),
            new([Animations.Gif(2, 2, [.. Enumerable.Repeat(new GifFrame(0, 0, 2, 2, 1), 7)])], 2), new([small], -1));
        Assert.Equal(["pictures[0]", "pictures[1]", "pictures[1].max_frames", "pictures[2]", "pictures[3]", "pictures[4].files[1]",
            "pictures[4].files[2]", "pictures[5]", "pictures[6].max_frames"], faults.Select(fault => fault.Field).Order());
        Assert.All(faults, fault => Assert.NotEmpty(fault.Remedy));
    }

    [Fact]
    public async Task What_must_be_decoded_is_bounded_and_not_only_what_is_taken()
    {
        // Two of ten frames are the frames 2 and 7 (counted from 0), so eight frames of the animation must be decoded.
        Assert.Empty(await Faults(new() { MaxClipPixels = 8 * Side * Side }, new VisualInput([Gif(10)], 2)));
        var fault = Assert.Single(await Faults(new() { MaxClipPixels = (8 * Side * Side) - 1 }, new VisualInput([Gif(10)], 2)));
        Assert.Contains("pixels", fault.Problem, StringComparison.Ordinal);
        Assert.Empty(await Faults(new() { MaxClipPixels = 2 * Side * Side }, new VisualInput(Files(10), 2)));
        // With one frame, the animation is read as a still picture, to which the limits of clips do not apply.
        Assert.Empty(await Faults(new() { MaxClipPixels = 1, MaxClipFrames = 1 }, new VisualInput([Gif(10)], 1)));
        var both = Files(2);
        Assert.Contains($"{both[0].Length + both[1].Length} bytes",
            Assert.Single(await Faults(new() { MaxPictureBytes = both[0].Length + both[1].Length - 1 }, new VisualInput(both, 2))).Problem,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_damaged_frame_is_named()
    {
        var gif = Gif(3);
        var faults = await Faults(new(), new([gif.AsMemory(0, gif.Length - 1000)], 3),
            new([Files(1)[0], Golden.Input("jpeg-420.jpg").AsMemory(0, 1500)], 2));
        Assert.Equal(["pictures[0]", "pictures[1].files[1]"], faults.Select(fault => fault.Field));
        Assert.Contains("Frame 2", faults[0].Problem, StringComparison.Ordinal);
    }

    private async Task<IReadOnlyList<FieldFault>> Faults(VisionEncoderOptions options, params VisualInput[] pictures)
    {
        using var stage = models.NewStage(models.DirectoryOf("mpt1b"), options);
        try
        {
            await stage.EncodeAsync(new(pictures), Cancellation);
            return [];
        }
        catch (FlamingoException exception) when (exception.Kind == FlamingoErrorKind.InvalidArgument)
        {
            return exception.Faults;
        }
    }
}
