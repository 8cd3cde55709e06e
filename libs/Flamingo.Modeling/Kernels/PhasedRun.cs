using System.Runtime.ExceptionServices;

namespace Flamingo.Modeling.Kernels;

/// <summary>
/// Runs a list of phases on a team, some hundred for one step of a decoder. A phase begins when all items of the phase before it are
/// written, whether all threads took part or not. Threads take one item at a time. A thread that finds no item left waits some microseconds
/// for the others, and then computes their unfinished items again: a thread that the operating system has taken from its core in the
/// middle of an item holds up nobody. Only one thread at a time may call <see cref="Run"/>.
/// </summary>
/// <typeparam name="TWorker">The working memory of one thread.</typeparam>
public sealed class PhasedRun<TWorker>
{
    // Distance between two counters, so that they are in different cache lines.
    private const int Line = 64 / sizeof(int);

    // Number of looks at an unfinished phase before its items are computed again, some tens of microseconds. An item of a phase takes five.
    private const int Patience = 1000;

    private readonly ComputeTeam _team;
    private readonly Phase<TWorker>[] _phases;
    private readonly TWorker[] _workers;
    private readonly int[] _next, _done, _items;
    private int[] _written = [];
    private Exception? _failure;

    /// <param name="newWorker">Creates the memory of a thread.</param>
    public PhasedRun(ComputeTeam team, IReadOnlyList<Phase<TWorker>> phases, Func<TWorker> newWorker)
    {
        (_team, _phases) = (team, [.. phases]);
        _workers = [.. Enumerable.Range(0, team.Threads).Select(_ => newWorker())];
        (_next, _done) = (new int[(phases.Count + 1) * Line], new int[(phases.Count + 1) * Line]);
        _items = new int[phases.Count];
    }

    /// <summary>Runs all phases, and returns when no thread uses the memory of the phases any more.</summary>
    /// <param name="threads">Most threads that take part, the calling one included.</param>
    /// <exception cref="Exception">The first exception that an item threw. The run then ends early.</exception>
    public void Run(int threads)
    {
        Array.Clear(_next);
        Array.Clear(_done);
        var most = 0;
        for (var phase = 0; phase < _phases.Length; phase++) most = Math.Max(most, _items[phase] = _phases[phase].Items);
        if (_written.Length < most) _written = new int[most];
        Array.Clear(_written);
        _failure = null;
        threads = Math.Clamp(threads, 1, _workers.Length);
        // A thread that joins late finds finished phases and items that others have taken, and goes on from there.
        _team.Run(threads, threads, (_, worker) => TakePart(_workers[worker]));
        if (_failure is { } failure) ExceptionDispatchInfo.Throw(failure);
    }

    private void TakePart(TWorker worker)
    {
        try
        {
            for (var phase = 0; phase < _phases.Length && TakePart(phase, worker); phase++)
            {
            }
        }
        catch (Exception exception)
        {
            Interlocked.CompareExchange(ref _failure, exception, null);
        }
    }

    // Returns when the phase is done: true, or false if an item failed.
    private bool TakePart(int phase, TWorker worker)
    {
        var items = _items[phase];
        ref var done = ref _done[phase * Line];
        if (Volatile.Read(ref done) == items) return true;
        var prepared = false;
        ref var next = ref _next[phase * Line];
        while (Volatile.Read(ref next) < items)
        {
            var item = Interlocked.Increment(ref next) - 1;
            if (item < items) Compute(phase, item, worker, ref prepared);
        }

        for (var looks = 0; Volatile.Read(ref done) < items; looks++)
        {
            if (Volatile.Read(ref _failure) is not null) return false;
            if (looks < Patience)
            {
                Thread.SpinWait(1);
                continue;
            }

            for (var item = 0; item < items && Volatile.Read(ref done) < items; item++) Compute(phase, item, worker, ref prepared);
            Thread.Yield();
            looks = 0;
        }

        return true;
    }

    // The number of an item's last phase, counted from 1, says whether it is still to be written and decides who writes it. It only grows,
    // so a thread that has been away for some phases can never write.
    private void Compute(int phase, int item, TWorker worker, ref bool prepared)
    {
        ref var written = ref _written[item];
        var before = Volatile.Read(ref written);
        if (before > phase) return;
        if (!prepared) _phases[phase].Prepare(worker);
        prepared = true;
        _phases[phase].Compute(item, worker);
        if (Interlocked.CompareExchange(ref written, phase + 1, before) != before) return;
        _phases[phase].Write(item, worker);
        Interlocked.Increment(ref _done[phase * Line]);
    }
}
