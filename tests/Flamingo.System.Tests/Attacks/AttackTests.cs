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
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(10);

    public static TheoryData<Attack> Attacks => [.. Attack.All];

    [Theory(Timeout = 120_000), MemberData(nameof(Attacks), DisableDiscoveryEnumeration = true)]
    public async Task A_neighbour_is_answered_and_nothing_stays(Attack attack)
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await AttackServer.StartAsync(
            RepositoryFiles.Path("models", "shapes"),
            [("Requests:MaxInFlightBytes", $"{Budget}"), ("Gateway:WriteStallTimeout", "2s"), ("Endpoints:WriteTimeout", "4s"),
                .. attack.Options],
            cancellation);
        for (var call = 0; call < 3; call++) await Attack.AskAsNeighbourAsync(server.Target, Longest, cancellation);
        var (before, most) = (server.Memory, 0L);

        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var attacking = Task.Run(() => attack.OnceAsync(server.Target, end.Token), cancellation);
        try
        {
            for (var call = 0; call < 5 || (call < 20 && !attacking.IsCompleted); call++)
            {
                await Attack.AskAsNeighbourAsync(server.Target, Longest, cancellation);
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
        await Task.WhenAll(Enumerable.Range(0, 64).Select(_ => Attack.AskAsNeighbourAsync(server.Target, 2 * Longest, cancellation)));
        Assert.DoesNotContain("unhandled exception", server.Output, StringComparison.OrdinalIgnoreCase);
    }
}
