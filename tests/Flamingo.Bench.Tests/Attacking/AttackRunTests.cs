using Flamingo.Bench.Attacking;
using Flamingo.Testing;

namespace Flamingo.Bench.Tests.Attacking;

public sealed class AttackRunTests
{
    [Fact(Timeout = 120_000)]
    public async Task An_attack_gives_two_figures_and_names_what_the_attacker_got()
    {
        var request = new BenchRequest([], null, RepositoryFiles.Path("models", "shapes"), Threads: 2, Seed: 1, Repetitions: 1);
        var (measurements, progress) = (new List<Measurement>(), new StringWriter());
        await AttackRun.RunAsync(
            request, ["large_metadata"], measurement =>
            {
                measurements.Add(measurement);
                return Task.CompletedTask;
            },
            progress, TimeProvider.System, TestContext.Current.CancellationToken);
        Assert.Equal(["attack_large_metadata_slowdown", "attack_large_metadata_memory_growth"], measurements.Select(one => one.Figure));
        Assert.True(measurements[0].Value > 0 && double.IsFinite(measurements[1].Value));
        Assert.Matches("([0-9]+) of \\1 calls answered, attacker got [0-9]+ ResourceExhausted", measurements[0].Against);
        Assert.Contains("large_metadata", progress.ToString(), StringComparison.Ordinal);
    }
}
