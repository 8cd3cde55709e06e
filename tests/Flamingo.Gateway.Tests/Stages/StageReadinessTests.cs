using Flamingo.Abstractions;
using Flamingo.Gateway.Stages;
using Flamingo.Stages;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.Gateway.Tests.Stages;

public sealed class StageReadinessTests
{
    private readonly Stage _stage = new();
    private readonly FakeTimeProvider _time = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_stages_are_asked_at_most_once_in_three_seconds_whoever_asks()
    {
        var readiness = Readiness(_stage);
        await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => readiness.CheckAsync(Cancellation)));
        Assert.Equal(1, _stage.Describes);

        _stage.DescribeFails = new FlamingoException(FlamingoErrorKind.Unavailable, "VisionEncoder cannot be reached.");
        await readiness.CheckAsync(Cancellation);
        _time.Advance(StageReadiness.Freshness);
        for (var check = 0; check < 2; check++)
        {
            var away = await Assert.ThrowsAsync<FlamingoException>(() => readiness.CheckAsync(Cancellation));
            Assert.Equal("VisionEncoder cannot be reached.", away.Message);
        }

        Assert.Equal(2, _stage.Describes);
        _stage.DescribeFails = null;
        _time.Advance(StageReadiness.Freshness);
        await readiness.CheckAsync(Cancellation);
        Assert.Equal(3, _stage.Describes);
    }

    [Fact]
    public async Task Stages_that_do_not_fit_are_not_ready_even_if_requests_still_use_the_old_descriptions()
    {
        var descriptions = new StageDescriptions(_stage, _stage, _stage, NullLogger<StageDescriptions>.Instance);
        var readiness = new StageReadiness(descriptions, _time);
        var known = await descriptions.GetAsync(Cancellation);
        _stage.Resampler = _stage.Resampler with { FeatureWidth = 7 };
        var misfit = await Assert.ThrowsAsync<FlamingoException>(() => readiness.CheckAsync(Cancellation));
        Assert.Equal(FlamingoErrorKind.Mismatch, misfit.Kind);
        Assert.Same(known, await descriptions.GetAsync(Cancellation));
    }

    [Fact(Timeout = 30_000)]
    public async Task A_stage_that_does_not_answer_is_not_ready_after_four_seconds_and_one_caller_may_leave_before()
    {
        var silent = new Silent();
        var readiness = new StageReadiness(
            new StageDescriptions(_stage, silent, _stage, NullLogger<StageDescriptions>.Instance), _time);
        using var caller = new CancellationTokenSource();
        var (checking, leaving) = (readiness.CheckAsync(TestContext.Current.CancellationToken), readiness.CheckAsync(caller.Token));
        await caller.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaving);
        _time.Advance(StageReadiness.Timeout - TimeSpan.FromMilliseconds(1));
        Assert.False(checking.IsCompleted);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        var failure = await Assert.ThrowsAsync<FlamingoException>(() => checking);
        Assert.Equal("The stages have not answered within 4 s.", failure.Message);
    }

    private StageReadiness Readiness(Stage stage) =>
        new(new StageDescriptions(stage, stage, stage, NullLogger<StageDescriptions>.Instance), _time);

    private sealed class Silent : IResampler
    {
        public Task<ResamplerDescription> DescribeAsync(CancellationToken cancellation) =>
            new TaskCompletionSource<ResamplerDescription>().Task;

        public Task<Resampling> ResampleAsync(ResampleRequest request, CancellationToken cancellation) => throw new NotSupportedException();
    }
}
