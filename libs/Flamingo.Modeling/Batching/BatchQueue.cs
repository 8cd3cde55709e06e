using System.Diagnostics;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Modeling.Batching;

/// <summary>
/// Computes items of different calls in one forward pass. One batch is computed at a time, and its items are chosen when it
/// starts, so that it includes calls which arrived while the compute thread was busy. A batch waits for more items, but never
/// longer than its oldest call may wait. The queue takes one item of each call in turn, so that a call with sixty-four items does
/// not delay a call with a single item. When a pass fails, only the calls in it fail.
/// </summary>
/// <typeparam name="TItem">Input of one row of a batch.</typeparam>
/// <typeparam name="TResult">Result of one row.</typeparam>
public sealed class BatchQueue<TItem, TResult> : IDisposable
{
    private static readonly ActivitySource Steps = new("Flamingo.Modeling");

    private readonly Lock _lock = new();
    private readonly LinkedList<BatchCall<TItem, TResult>> _turns = []; // calls with waiting items; the first is served next
    private readonly BatchBounds _bounds;
    private readonly Func<TItem, object?> _kind;
    private readonly Func<IReadOnlyList<TItem>, IReadOnlyList<TResult>> _compute;
    private readonly Func<Action, Task> _post;
    private readonly Action<TimeSpan> _waited;
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private readonly string _step;
    private TaskCompletionSource? _posted; // not null while a batch is being computed
    private bool _isClosed;
    private int _running; // items of the running batch

    /// <param name="kind">Returns the kind of an item. Items whose kinds are equal may share a batch.</param>
    /// <param name="compute">Computes one forward pass and returns a result for each item, in order. <paramref name="post"/> runs
    /// it.</param>
    /// <param name="post">Runs an action on the compute thread, after the work that was posted before.</param>
    /// <param name="waited">Called for every item when its batch starts, with the time that it waited.</param>
    /// <param name="name">Name of a batch for messages, see <see cref="Worker"/>.</param>
    /// <param name="step">Name of the span of a call that is computed, and with "batch " before it of a batch.</param>
    public BatchQueue(
        BatchBounds bounds, Func<TItem, object?> kind, Func<IReadOnlyList<TItem>, IReadOnlyList<TResult>> compute, Func<Action, Task> post,
        TimeProvider time, Action<TimeSpan>? waited = null, string name = "a batch", string step = "compute")
    {
        (Worker, _step) = (new Worker(name), step);
        (_bounds, _kind, _compute, _post, _time, _waited) = (bounds, kind, compute, post, time, waited ?? (_ => { }));
        _timer = time.CreateTimer(_ => Consider(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>The batches. A unit of work begins when a batch is posted and ends when it is computed.</summary>
    public Worker Worker { get; }

    /// <summary>Number of items that wait for a batch.</summary>
    public int Waiting
    {
        get
        {
            lock (_lock) return _turns.Sum(call => call.Waiting);
        }
    }

    /// <summary>Number of items of the batch that is being computed.</summary>
    public int Running => Volatile.Read(ref _running);

    /// <returns>A result for each item, in order.</returns>
    /// <exception cref="FlamingoException">Unavailable: the stage is being stopped.</exception>
    /// <exception cref="OperationCanceledException">
    /// The call was cancelled. Its items that are still waiting are not computed.
    /// </exception>
    public async Task<IReadOnlyList<TResult>> RunAsync(IReadOnlyList<TItem> items, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        if (items.Count == 0) return [];
        var call = new BatchCall<TItem, TResult>(items, _kind, _time.GetTimestamp());
        lock (_lock)
        {
            if (_isClosed) throw Closed();
            _turns.AddLast(call);
        }

        using var leaving = cancellation.UnsafeRegister((_, token) =>
        {
            lock (_lock) _turns.Remove(call);
            call.Completion.TrySetCanceled(token);
        }, null);
        Consider();
        return await call.Completion.Task.ConfigureAwait(false);
    }

    /// <summary>Fails all waiting calls with Unavailable, and returns when the running batch, if any, has ended.</summary>
    public void Dispose()
    {
        TaskCompletionSource? posted;
        lock (_lock) (_isClosed, posted) = (true, _posted);
        Fail(Closed());
        _timer.Dispose();
        posted?.Task.GetAwaiter().GetResult();
    }

    private static FlamingoException Closed() => new(FlamingoErrorKind.Unavailable, "The stage is being stopped.");

    // Starts a batch if one is due, and otherwise sets the timer for the moment when one will be.
    private void Consider()
    {
        lock (_lock)
        {
            if (_posted is not null || _isClosed || _turns.Count == 0) return;
            var left = _bounds.Wait - _time.GetElapsedTime(_turns.Min(call => call.Arrived));
            if (left > TimeSpan.Zero && _turns.Sum(call => call.Waiting) < _bounds.Size)
            {
                _timer.Change(left, Timeout.InfiniteTimeSpan);
                return;
            }

            _posted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            Worker.Begin();
        }

        _ = PostAsync();
    }

    private async Task PostAsync()
    {
        try
        {
            await _post(Run).ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            Fail(exception); // The compute thread has ended. An exception of a batch is handled in Run.
        }

        lock (_lock)
        {
            Worker.End();
            _posted!.SetResult();
            _posted = null;
        }

        Consider();
    }

    private void Run()
    {
        var batch = Take();
        if (batch.Count == 0) return; // all calls have been cancelled in the meantime
        Volatile.Write(ref _running, batch.Count);
        var calls = batch.Select(item => item.Call).Distinct().ToList();
        var begun = _time.GetTimestamp();
        foreach (var call in calls.Where(call => call.Begun == 0)) call.Begun = begun;
        using var span = RequestTrace.BeginBatch(Steps, $"batch {_step}", calls.Select(call => call.Trace));
        span?.SetTag("flamingo.batch.size", batch.Count);
        try
        {
            var results = _compute([.. batch.Select(item => item.Call.Items[item.Index])]);
            var ended = _time.GetTimestamp();
            foreach (var ((call, index), result) in batch.Zip(results))
            {
                if (call.IsLast) WriteSteps(call, ended); // before its caller goes on
                call.Answer(index, result);
            }
        }
        catch (Exception exception)
        {
            span?.SetStatus(ActivityStatusCode.Error);
            foreach (var call in calls)
            {
                lock (_lock) _turns.Remove(call);
                call.Completion.TrySetException(exception);
            }
        }
        finally
        {
            Volatile.Write(ref _running, 0);
        }
    }

    private void WriteSteps(BatchCall<TItem, TResult> call, long ended)
    {
        call.Trace.Write(Steps, "queue", call.Arrived, call.Begun, _time);
        call.Trace.Write(Steps, _step, call.Begun, ended, _time, span => span.SetTag("flamingo.items", call.Items.Count));
    }

    // Takes one item of each call in turn, round after round, if it is of the kind of the first item. Calls with another kind keep their
    // place at the front.
    private List<(BatchCall<TItem, TResult> Call, int Index)> Take()
    {
        var batch = new List<(BatchCall<TItem, TResult> Call, int Index)>();
        lock (_lock)
        {
            if (_turns.First is null) return batch;
            var (kind, before) = (_turns.First.Value.NextKind, -1);
            while (batch.Count < _bounds.Size && batch.Count > before)
            {
                before = batch.Count;
                foreach (var call in _turns.ToArray())
                {
                    if (batch.Count == _bounds.Size) break;
                    if (!Equals(call.NextKind, kind)) continue;
                    _turns.Remove(call);
                    batch.Add((call, call.Take()));
                    if (call.Waiting > 0) _turns.AddLast(call);
                }
            }
        }

        foreach (var (call, _) in batch) _waited(_time.GetElapsedTime(call.Arrived));
        return batch;
    }

    private void Fail(Exception exception)
    {
        BatchCall<TItem, TResult>[] calls;
        lock (_lock)
        {
            calls = [.. _turns];
            _turns.Clear();
        }

        foreach (var call in calls) call.Completion.TrySetException(exception);
    }
}
