using Flamingo.Abstractions;
using Flamingo.Bench.Soaking;
using Flamingo.Stages;
using Flamingo.Testing;

namespace Flamingo.Bench.Tests.Soaking;

public sealed class SoakRunTests
{
    private static readonly string[] Figures =
        ["soak_live_tensor_growth", "soak_memory_growth", "soak_refused_told_when", "soak_answers", "soak_refusals",
            "soak_unexpected_failures", "soak_leased_at_end"];

    private static readonly BenchRequest Request =
        new([], null, RepositoryFiles.Path("models", "shapes"), Threads: 2, Seed: 1, Repetitions: 1)
    {
        StreamTokens = 8,
        Settings = new Dictionary<string, string?> { ["LanguageModel:MaxSequences"] = "4", ["LanguageModel:MaxQueued"] = "2" },
    };

    [Fact(Timeout = 120_000)]
    public async Task A_few_seconds_at_twice_the_load_refuse_some_answer_some_and_leave_nothing_behind()
    {
        var progress = new StringWriter();
        var report = await SoakRun.RunAsync(Request, TimeSpan.FromSeconds(4), progress, TimeProvider.System,
            TestContext.Current.CancellationToken);
        var values = report.Measurements.ToDictionary(measurement => measurement.Figure, measurement => measurement.Value);
        Assert.Equal(Figures, report.Measurements.Select(measurement => measurement.Figure));
        Assert.All(report.Measurements, measurement => Assert.True(double.IsFinite(measurement.Value), $"{measurement}"));
        Assert.True(report.Faults.Count == 0, $"{string.Join('\n', report.Faults)}\n{progress}");
        Assert.Equal((0, 0, 0,
            1), (values["soak_live_tensor_growth"], values["soak_unexpected_failures"], values["soak_leased_at_end"],
                values["soak_refused_told_when"]));
        Assert.True(values["soak_answers"] > 0 && values["soak_refusals"] > 0 && values["soak_memory_growth"] > 0);
        Assert.Contains("idle at the end", progress.ToString(), StringComparison.Ordinal);
    }

    [Fact(Timeout = 120_000)]
    public async Task A_soak_that_is_cancelled_ends()
    {
        using var source = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var progress = new CancellingWriter("tenth:", source);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => SoakRun.RunAsync(Request, TimeSpan.FromSeconds(2), progress, TimeProvider.System, source.Token));
        Assert.True(source.IsCancellationRequested);
    }

    [Fact]
    public void Every_fault_fails_a_soak()
    {
        var (ledger, engine) = (new SoakLedger(),
            new LanguageModel.Engine.Generation.EngineStatistics(0, 0, 5, 3, 0, 2, 1, 0, 9, 9, 9, 9, 9));
        ledger.Answer();
        ledger.Refusal(TimeSpan.FromSeconds(1));
        var (warm, end) = (new SoakSample(100, 10, 7, engine with { LeasedBlocks = 2, LeasedPictures = 0 }),
            new SoakSample(150, 10, 9, engine));
        Assert.Empty(SoakReport.Of(warm, warm, ledger, "here").Faults);

        ledger.Refusal(null);
        ledger.Failure("greedy: it broke");
        var report = SoakReport.Of(warm, end, ledger, "here");
        Assert.Equal([2, 1.5, 0.5, 1, 2, 1, 2], report.Measurements.Select(measurement => measurement.Value));
        Assert.Equal(["Live tensors grew by 2.", "2 blocks or pictures are still leased after all calls have ended.",
            "1 refusals had no retry delay.",
            "1 calls failed, among them:", "greedy: it broke"], report.Faults);

        Assert.Contains("do not make a soak test", Assert.Single(SoakReport.Of(warm, warm, new SoakLedger(), "here").Faults),
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Calls_end_in_the_ledger_as_they_should()
    {
        var (ledger, cancellation) = (new SoakLedger(), TestContext.Current.CancellationToken);
        var caller = new SoakCaller(1, null!, null!, ledger, TimeProvider.System);
        Task Call(FlamingoErrorKind? due, bool leaves,
            Exception? thrown) =>
                caller.CallAsync(new SoakCall("call", due, leaves,
                    (_, _) => thrown is null ? Task.CompletedTask : Task.FromException(thrown)), cancellation);
        await Call(null, false, null);
        await Call(null, false, new FlamingoException(FlamingoErrorKind.Overloaded, "full") { RetryAfter = TimeSpan.FromMilliseconds(1) });
        await Call(FlamingoErrorKind.NotFound, false, new FlamingoException(FlamingoErrorKind.NotFound, "nobody"));
        await Call(null, true, new OperationCanceledException());
        Assert.Equal((1, 1, 1, 1, 1, 0),
            (ledger.Answers, ledger.Refusals, ledger.RefusalsWithDelay, ledger.Rejected, ledger.Left, ledger.Failures));

        await Call(FlamingoErrorKind.NotFound, false, null);
        await Call(FlamingoErrorKind.NotFound, false, new FlamingoException(FlamingoErrorKind.Internal, "other"));
        await Call(null, false, new OperationCanceledException());
        Assert.Equal(["call: answered where NotFound was expected", "call: FlamingoException: other",
            "call: OperationCanceledException: The operation was canceled."], ledger.FirstFailures);
        Assert.Equal(3, ledger.Failures);
    }

    private sealed class CancellingWriter(string at, CancellationTokenSource source) : StringWriter
    {
        public override Task WriteLineAsync(string? value)
        {
            if (value!.Contains(at, StringComparison.Ordinal)) source.Cancel();
            return base.WriteLineAsync(value);
        }
    }
}
