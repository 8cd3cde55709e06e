using Flamingo.Modeling.Kernels;

namespace Flamingo.Modeling.Tests.Kernels;

public sealed class PhasedRunTests
{
    [Theory(Timeout = 60_000)]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public Task Every_phase_sees_what_the_phases_before_it_wrote(int helpers) => Task.Run(() =>
    {
        using var team = new ComputeTeam(helpers);
        var values = new long[50];
        var phases = Enumerable.Range(0, 60).Select(phase => new Shifted(values, phase * 7 % 51)).ToList();
        var run = new PhasedRun<long[]>(team, phases, () => new long[1]);
        var expected = new long[50];
        for (var round = 0; round < 200; round++)
        {
            foreach (var phase in phases) phase.Expect(expected);
            run.Run(helpers + 1);
            Assert.Equal(expected, values);
        }
    }, TestContext.Current.CancellationToken);

    // The second thread to compute item 0 finds the first one waiting in it, finishes the run alone, and then lets the first go on.
    [Fact(Timeout = 60_000)]
    public Task A_thread_that_is_away_holds_up_nobody_and_writes_nothing() => Task.Run(() =>
    {
        using var team = new ComputeTeam(helpers: 1);
        using var finished = new ManualResetEventSlim();
        var values = new long[4];
        var stalled = new Stalling(values, finished);
        var last = new Shifted(values, 4) { AtEnd = finished.Set };
        new PhasedRun<long[]>(team, [stalled, new Shifted(values, 4), last], () => new long[1]).Run(2);
        // 1, 2, 3, 4 shifted twice: each becomes the sum of itself and its neighbour, and one more
        var expected = new long[] { 1, 2, 3, 4 };
        var plain = new Shifted(values, 4);
        plain.Expect(expected);
        plain.Expect(expected);
        Assert.Equal(expected, values);
        Assert.True(stalled.Calls > 4);
    }, TestContext.Current.CancellationToken);

    [Fact(Timeout = 60_000)]
    public Task A_failure_comes_out_and_the_run_can_be_repeated() => Task.Run(() =>
    {
        using var team = new ComputeTeam(helpers: 1);
        var values = new long[8];
        var failing = new Failing();
        var run = new PhasedRun<long[]>(team, [new Shifted(values, 8), failing, new Shifted(values, 8)], () => new long[1]);
        for (var round = 0; round < 20; round++) Assert.Throws<InvalidOperationException>(() => run.Run(2));
        failing.Fails = false;
        run.Run(2);
    }, TestContext.Current.CancellationToken);

    /// <summary>Replaces each of the first values by a function of itself and its neighbours in the order of the items.</summary>
    private sealed class Shifted(long[] values, int items) : Phase<long[]>
    {
        public Action? AtEnd { get; init; }

        public override int Items => items == 0 ? 0 : 1 + Math.Min(items, values.Length);

        // The first item copies nothing but proves that items may differ in cost; the others add one to their own value.
        public override void Compute(int item, long[] worker)
        {
            if (item == 0) Thread.SpinWait(50);
            else worker[0] = (values[item - 1] * 3) + item;
        }

        public override void Write(int item, long[] worker)
        {
            if (item > 0) values[item - 1] = worker[0] % 1_000_003;
            if (item == Items - 1) AtEnd?.Invoke();
        }

        public void Expect(long[] expected)
        {
            for (var item = 1; item < Items; item++) expected[item - 1] = ((expected[item - 1] * 3) + item) % 1_000_003;
        }
    }

    private sealed class Stalling(long[] values, ManualResetEventSlim finished) : Phase<long[]>
    {
        private int _calls, _first;

        public int Calls => _calls;

        public override int Items => 4;

        public override void Compute(int item, long[] worker)
        {
            Interlocked.Increment(ref _calls);
            worker[0] = item + 1;
            if (item != 0 || Interlocked.Exchange(ref _first, 1) == 1) return;
            Assert.True(finished.Wait(TimeSpan.FromSeconds(30)));
            worker[0] = -1; // what a thread computes that comes too late must not be written
        }

        public override void Write(int item, long[] worker) => values[item] = worker[0];
    }

    private sealed class Failing : Phase<long[]>
    {
        public bool Fails { get; set; } = true;

        public override int Items => 6;

        public override void Compute(int item, long[] worker)
        {
            if (Fails && item % 2 == 1) throw new InvalidOperationException("odd");
        }

        public override void Write(int item, long[] worker)
        {
        }
    }
}
