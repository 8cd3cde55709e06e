using Flamingo.Abstractions;
using Flamingo.SystemTests.Episodes;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Embedded;

/// <summary>Tests clips with all stages, on the default model with added frame embeddings.</summary>
public sealed class ClipTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("flamingo-frames-").FullName;

    public ClipTests() => FramesCheckpoint.Write(_folder);

    private static ReadOnlyMemory<byte> Animation =>
        File.ReadAllBytes(RepositoryFiles.Path("tests", "reference", "preprocessing", "in", "gif-animated.gif"));

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task An_animation_is_read_frame_by_frame_encoded_once_and_known_by_its_id()
    {
        await using var embedded = await EmbeddedFlamingo.StartAsync(_folder);
        var first = await AskAsync(embedded, new FlamingoVideo(new VisualInput([Animation], 0)));
        var counted = await embedded.VisionEncoder.GetStatisticsAsync(Cancellation);
        Assert.Equal(1, counted.Pictures);
        Assert.InRange(counted.Frames, 2, FramesCheckpoint.Frames);
        Assert.Equal(PictureSource.Encoded, first.Picture.Source);

        var again = await AskAsync(embedded, new FlamingoPictureId(first.Picture.Id));
        Assert.Equal((PictureSource.Memory, first.LogLikelihood), (again.Picture.Source, again.LogLikelihood));
        Assert.Equal(counted, await embedded.VisionEncoder.GetStatisticsAsync(Cancellation));

        // only the first frame
        Assert.NotEqual(first.LogLikelihood, (await AskAsync(embedded, new FlamingoPicture(Animation))).LogLikelihood);
    }

    [Fact]
    public async Task The_order_of_frames_is_seen_and_one_frame_is_a_picture()
    {
        await using var embedded = await EmbeddedFlamingo.StartAsync(_folder);
        var (one, other) = (Episode.Picture("0010.png").Bytes, Episode.Picture("0200.png").Bytes);
        var forwards = (await AskAsync(embedded, new FlamingoVideo(new VisualInput([one, other], 0)))).LogLikelihood;
        var backwards = (await AskAsync(embedded, new FlamingoVideo(new VisualInput([other, one], 0)))).LogLikelihood;
        Assert.InRange(Math.Abs(forwards - backwards), 1e-3, double.MaxValue);
        Assert.Equal((await AskAsync(embedded, new FlamingoPicture(one))).LogLikelihood,
            (await AskAsync(embedded, new FlamingoVideo(new VisualInput([one], 1)))).LogLikelihood);
    }

    [Fact]
    public async Task What_is_wrong_with_a_clip_is_said_of_its_field_and_the_default_model_takes_none()
    {
        await using var embedded = await EmbeddedFlamingo.StartAsync(_folder);
        var broken = await Assert.ThrowsAsync<FlamingoException>(
            () => AskAsync(embedded, new FlamingoVideo(new VisualInput([Animation[..200], Episode.Picture("0010.png").Bytes], 0))));
        Assert.StartsWith("segments[0].video", Assert.Single(broken.Faults).Field, StringComparison.Ordinal);
        var many = await Assert.ThrowsAsync<FlamingoException>(
            () => AskAsync(embedded, new FlamingoVideo(new VisualInput([Animation], FramesCheckpoint.Frames + 1))));
        Assert.Equal("segments[0].video.max_frames", Assert.Single(many.Faults).Field);

        await using var still = await EmbeddedFlamingo.StartAsync();
        var refused = await Assert.ThrowsAsync<FlamingoException>(
            () => AskAsync(still, new FlamingoVideo(new VisualInput([Animation], 0))));
        Assert.Equal("segments[0].video", Assert.Single(refused.Faults).Field);
    }

    private static async Task<(PictureReport Picture, double LogLikelihood)> AskAsync(EmbeddedFlamingo embedded, FlamingoVisual visual)
    {
        var ranking = await embedded.Flamingo.RankAsync(
            new FlamingoRankRequest([visual, new FlamingoText("Output:")], ["a large white square"]), Cancellation);
        return (Assert.Single(ranking.Pictures), ranking.Candidates[0].TokenLogLikelihoods.Sum());
    }
}
