using Flamingo.Modeling.Kernels;

namespace Flamingo.Modeling.Tests.Kernels;

public sealed class ComputeTeamTests
{
    [Theory(Timeout = 60_000)]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(5)]
    public Task Every_item_is_computed_once(int helpers) => Task.Run(() =>
    {
        using var team = new ComputeTeam(helpers);
        for (var round = 0; round < 300; round++)
        {
            var computed = new int[round % 40];
            team.Run(computed.Length, helpers + 1, (item, worker) =>
            {
                Assert.InRange(worker, 0, helpers);
                Interlocked.Increment(ref computed[item]);
            });
            Assert.All(computed, times => Assert.Equal(1, times));
        }
    }, TestContext.Current.CancellationToken);

    [Fact(Timeout = 60_000)]
    public Task A_helper_joins() => Task.Run(() =>
    {
        using var team = new ComputeTeam(helpers: 1);
        using var both = new Barrier(2);
        team.Run(2, threads: 2, (_, _) => Assert.True(both.SignalAndWait(TimeSpan.FromSeconds(30)))); // passes only with two threads inside
    }, TestContext.Current.CancellationToken);

    [Fact(Timeout = 60_000)]
    public Task A_failure_comes_out_once_all_are_done_and_the_team_goes_on() => Task.Run(() =>
    {
        using var team = new ComputeTeam(helpers: 1);
        for (var round = 0; round < 50; round++)
        {
            var done = 0;
            var failure = Assert.Throws<InvalidOperationException>(() => team.Run(8, threads: 2, (item, _) =>
            {
                Interlocked.Increment(ref done);
                if (item % 2 == 1) throw new InvalidOperationException("odd");
            }));
            Assert.Equal(("odd", 8), (failure.Message, done));
        }

        var after = 0;
        team.Run(8, threads: 2, (_, _) => Interlocked.Increment(ref after));
        Assert.Equal(8, after);
    }, TestContext.Current.CancellationToken);

    [Fact(Timeout = 60_000)]
    public Task Disposed_its_threads_have_ended() => Task.Run(() =>
    {
        Thread? helper = null;
        var team = new ComputeTeam(helpers: 1);
        using var both = new Barrier(2);
        team.Run(2, threads: 2, (_, worker) =>
        {
            if (worker == 1) helper = Thread.CurrentThread;
            Assert.True(both.SignalAndWait(TimeSpan.FromSeconds(30)));
        });
        team.Dispose();
        team.Dispose();
        Assert.False(helper!.IsAlive);
        Assert.Throws<ObjectDisposedException>(() => team.Run(2, threads: 2, (_, _) => { }));
    }, TestContext.Current.CancellationToken);
}
