using Flamingo.Modeling.Batching;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.Modeling.Tests.Batching;

/// <summary>
/// A queue whose compute thread takes a step when the test says so, and whose clock stands still until the test moves it. An item is a
/// text; its kind is its first letter, its result the text itself in brackets.
/// </summary>
internal sealed class SteppedQueue : IDisposable
{
    private readonly Queue<(Action Run, TaskCompletionSource Done)> _posted = [];
    private readonly CancellationToken _cancellation;

    /// <param name="cancellation">The test's: ends calls that nobody answers.</param>
    public SteppedQueue(CancellationToken cancellation, int size, TimeSpan wait = default)
    {
        _cancellation = cancellation;
        Queue = new BatchQueue<string, string>(new BatchBounds(size, wait), item => item[0], Compute, Post, Time, Waits.Add);
    }

    public FakeTimeProvider Time { get; } = new();

    public BatchQueue<string, string> Queue { get; }

    /// <summary>Forward passes so far.</summary>
    public List<string[]> Batches { get; } = [];

    public List<TimeSpan> Waits { get; } = [];

    /// <summary>Happens inside the next pass.</summary>
    public Action? Meanwhile { get; set; }

    /// <summary>Whether a batch waits for the compute thread.</summary>
    public bool IsPosted => _posted.Count > 0;

    public Task<IReadOnlyList<string>> Call(params string[] items) => Queue.RunAsync(items, _cancellation);

    public void Step()
    {
        var (run, done) = _posted.Dequeue();
        run();
        done.SetResult();
    }

    public void StepAll()
    {
        while (IsPosted) Step();
    }

    /// <summary>The compute thread is gone.</summary>
    public void Break(Exception exception) => _posted.Dequeue().Done.SetException(exception);

    public void Dispose()
    {
        StepAll();
        Queue.Dispose();
    }

    private Task Post(Action run)
    {
        var done = new TaskCompletionSource();
        _posted.Enqueue((run, done));
        return done.Task;
    }

    private string[] Compute(IReadOnlyList<string> items)
    {
        var meanwhile = Meanwhile;
        Meanwhile = null;
        meanwhile?.Invoke();
        Batches.Add([.. items]);
        return [.. items.Select(item => $"[{item}]")];
    }
}
