using Flamingo.Fixtures.Attacks;
using Flamingo.Testing;
using Grpc.Core;

namespace Flamingo.SystemTests.Attacks;

/// <summary>
/// Each attack that one caller may try, on a server of one process over real sockets: a neighbour of another tenant is answered
/// meanwhile, the attacker gets the status that the attack deserves, memory stays within the budgets, and everything that the
/// attack held is returned. <c>bench --attacks</c> measures how much slower the neighbour becomes.
/// </summary>
public sealed class AttackTests
{
    private const long Budget = 256 << 20; // Requests:MaxInFlightBytes of the server
    private const long Slack = 256 << 20;
    private static readonly TimeSpan Guard = TimeSpan.FromMinutes(1); // ends a call that hangs
    private static readonly TimeSpan ShortestLimit = TimeSpan.FromSeconds(10);

    public static TheoryData<Attack> Attacks => [.. Attack.All];

    [Theory(Timeout = 120_000), MemberData(nameof(Attacks), DisableDiscoveryEnumeration = true)]
    public async Task A_neighbour_is_answered_and_nothing_stays(Attack attack)
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await AttackServer.StartAsync(
            RepositoryFiles.Path("models", "shapes"),
            [("Requests:MaxInFlightBytes", $"{Budget}"), ("Gateway:WriteStallTimeout", "2s"), ("Endpoints:WriteTimeout", "4s"),
                // These attackers do not send slowly on purpose, but on a busy machine they may pause longer than the default.
                ("Requests:TransferTimeout", "1m"), .. attack.Options],
            cancellation);
        for (var call = 0; call < 2; call++) await Attack.AskAsNeighbourAsync(server.Target, Guard, cancellation);
        // A busy machine delays the neighbour without an attack too, so its limit grows with what an undisturbed call takes.
        var undisturbed = await TimeAsync(() => Attack.AskAsNeighbourAsync(server.Target, Guard, cancellation));
        var longest = ShortestLimit + (30 * undisturbed);
        var (before, most) = (server.Memory, 0L);

        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var attacking = Task.Run(() => attack.OnceAsync(server.Target, end.Token), cancellation);
        try
        {
            for (var call = 0; call < 5 || (call < 20 && !attacking.IsCompleted); call++)
            {
                await Attack.AskAsNeighbourAsync(server.Target, longest, cancellation);
                most = Math.Max(most, server.Memory - before);
            }

            if (attack.Refusals.Count == 0) await end.CancelAsync();
            foreach (var status in await attacking)
                if (attack.Refusals.Count > 0) Assert.Contains(status, attack.Refusals);
        }
        catch (Exception failure)
        {
            throw new InvalidOperationException($"{attack.What}: {failure.Message}\n{server.Output}", failure);
        }
        finally
        {
            await end.CancelAsync();
            await attacking.WaitAsync(cancellation);
        }

        Assert.InRange(most, long.MinValue, Budget + attack.PlannedBytes + Slack);

        // As many requests as there are permits and places are answered at once, so none is held any more.
        await Task.WhenAll(Enumerable.Range(0, 64).Select(_ => Attack.AskAsNeighbourAsync(server.Target, 2 * longest, cancellation)));
        Assert.DoesNotContain("unhandled exception", server.Output, StringComparison.OrdinalIgnoreCase);
    }

    private static async Task<TimeSpan> TimeAsync(Func<Task> call)
    {
        var started = TimeProvider.System.GetTimestamp();
        await call();
        return TimeProvider.System.GetElapsedTime(started);
    }
}
