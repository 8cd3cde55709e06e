using Flamingo.Fixtures.Attacks;
using Grpc.Core;

namespace Flamingo.Bench.Attacking;

/// <summary>
/// Measures how much one caller's attack slows a neighbour. Each attack gets a server of its own, <c>flamingo serve</c> as a process.
/// The neighbour asks for four tokens about a new picture, again and again: first undisturbed, and then while the attack is repeated.
/// </summary>
public static class AttackRun
{
    private const int Calls = 20;
    private static readonly TimeSpan MostPreparation = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(30); // a call that takes longer counts as this long

    /// <param name="names">Names of the attacks to run; empty for all.</param>
    /// <param name="report">Called for each measurement as soon as it is known.</param>
    /// <param name="progress">Receives progress lines for the user.</param>
    public static async Task RunAsync(
        BenchRequest request, IReadOnlyCollection<string> names, Func<Measurement, Task> report, TextWriter progress, TimeProvider time,
        CancellationToken cancellation)
    {
        var attacks = Attack.All.Where(attack => names.Count == 0 || names.Contains(attack.Name)).ToList();
        foreach (var (index, attack) in attacks.Index())
        {
            await progress.WriteLineAsync($"[{index + 1}/{attacks.Count}] {attack.Name}: {attack.What} …");
            var (slowdown, growth, answered, statuses) = await MeasureAsync(request, attack, time, cancellation);
            var where = $"{attack.What}; median of {Calls} calls of a neighbour, {answered} calls answered, attacker got {statuses}";
            await report(new Measurement(Slowdown(attack), slowdown, "ratio", $"under attack over undisturbed ({where})"));
            await report(new Measurement(Growth(attack), growth, "GiB", $"largest resident memory under attack minus before ({where})"));
        }
    }

    private static string Slowdown(Attack attack) => $"attack_{attack.Name}_slowdown";

    private static string Growth(Attack attack) => $"attack_{attack.Name}_memory_growth";

    private static async Task<(double Slowdown, double Growth, string Answered, string Statuses)> MeasureAsync(
        BenchRequest request, Attack attack, TimeProvider time, CancellationToken cancellation)
    {
        var settings = request.Settings.Select(setting => (setting.Key, setting.Value ?? ""));
        await using var server = await AttackServer.StartAsync(request.Model, [.. attack.Options, .. settings], cancellation);
        for (var call = 0; call < Calls; call++) await Attack.AskAsNeighbourAsync(server.Target, Longest, cancellation);
        var (undisturbed, _, _) = await TimeNeighbourAsync(() => true);

        var (before, most, statuses) = (server.Memory, 0L, new Dictionary<string, int>());
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var attacking = Task.Run(AttackAsync, cancellation);
        var watching = WatchAsync();
        // An attack may take some seconds to prepare, so the neighbour asks until the attacker has got an answer.
        var begun = time.GetTimestamp();
        var (attacked, answered, calls) =
            await TimeNeighbourAsync(() => statuses.Count > 0 || time.GetElapsedTime(begun) > MostPreparation);
        await end.CancelAsync();
        await Task.WhenAll(attacking, watching);
        return (attacked / undisturbed, (double)(most - before) / (1 << 30), $"{answered} of {calls}",
            statuses.Count == 0 ? "no status yet" : string.Join(", ", statuses.Select(status => $"{status.Value} {status.Key}")));

        async Task<(double Median, int Answered, int Calls)> TimeNeighbourAsync(Func<bool> isUnderWay)
        {
            var (seconds, answers) = (new List<double>(), 0);
            while (seconds.Count < Calls || !isUnderWay())
            {
                var started = time.GetTimestamp();
                try
                {
                    await Attack.AskAsNeighbourAsync(server.Target, Longest, cancellation);
                    answers++;
                    seconds.Add(time.GetElapsedTime(started).TotalSeconds);
                }
                catch (RpcException) when (!cancellation.IsCancellationRequested)
                {
                    seconds.Add(Longest.TotalSeconds); // not answered, so as slow as the longest wait
                }
            }

            return (seconds.TakeLast(Calls).Order().ElementAt(Calls / 2), answers, seconds.Count);
        }

        async Task AttackAsync()
        {
            while (!end.IsCancellationRequested)
            {
                foreach (var status in await attack.OnceAsync(server.Target, end.Token))
                {
                    var name = status?.ToString() ?? "reset";
                    statuses[name] = statuses.GetValueOrDefault(name) + 1;
                }
            }
        }

        async Task WatchAsync()
        {
            using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(100), time);
            while (!end.IsCancellationRequested)
            {
                most = Math.Max(most, server.Memory);
                await timer.WaitForNextTickAsync(cancellation);
            }
        }
    }
}
