using Flamingo.Checkpoints;
using Flamingo.Training.Loop;

namespace Flamingo.Training.Tests.Loop;

public sealed class ScheduleTests
{
    private static readonly TrainingOptions Options = new() { Steps = 110, LearningRate = 1e-3, WarmUp = 10 };

    [Theory]
    [InlineData("constant")]
    [InlineData("linear")]
    [InlineData("cosine")]
    public void The_warm_up_rises_from_zero_to_the_highest_rate(string schedule)
    {
        var options = Options with { Schedule = schedule };
        Assert.Equal(0, options.RateOf(0, 0));
        Assert.Equal(0.5e-3, options.RateOf(5, 0), 1e-12);
        Assert.Equal(1e-3, options.RateOf(10, 0), 1e-12);
    }

    [Fact]
    public void Without_warm_up_the_first_step_has_the_highest_rate() =>
        Assert.Equal(1e-3, (Options with { WarmUp = 0 }).RateOf(0, 0), 1e-12);

    [Theory]
    [InlineData("constant", 60, 1e-3)]
    [InlineData("constant", 110, 1e-3)]
    [InlineData("linear", 60, 0.5e-3)]
    [InlineData("linear", 85, 0.25e-3)]
    [InlineData("linear", 110, 0)]
    [InlineData("cosine", 60, 0.5e-3)]
    [InlineData("cosine", 35, 0.853553e-3)]
    [InlineData("cosine", 110, 0)]
    public void The_rate_falls_after_the_warm_up(string schedule, long step, double rate) =>
        Assert.Equal(rate, (Options with { Schedule = schedule }).RateOf(step, 0), 1e-9);

    [Fact]
    public void A_run_that_ends_by_its_time_falls_with_the_time()
    {
        var options = Options with { Schedule = "linear", Limit = TimeSpan.FromMinutes(10) };
        Assert.Equal(0.2e-3, options.RateOf(20, 0.8), 1e-9);
        Assert.Equal(0, options.RateOf(20, 1.3), 1e-9);
        Assert.Equal(0.5e-3, options.RateOf(60, 0.1), 1e-9);
    }

    [Fact]
    public void All_wrong_options_are_named_at_once()
    {
        var options = Options with
        {
            Steps = 0, BatchTokens = 0, LearningRate = 2, Schedule = "none", Clip = 0, Accumulate = 0, TeacherWeight = -1,
            Optimizer = new AdamWOptions(Beta2: 1),
        };
        var fault = Assert.Throws<CheckpointException>(options.Check).Message;
        Assert.All(
            ["--steps", "--batch-tokens", "--learning-rate", "--schedule", "--clip", "--accumulate", "--text-teacher", "--beta2"],
            name => Assert.Contains($"{name} must be ", fault, StringComparison.Ordinal));
    }
}
