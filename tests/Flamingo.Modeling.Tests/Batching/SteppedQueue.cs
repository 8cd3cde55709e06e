using Flamingo.Modeling.Batching;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.Modeling.Tests.Batching;

/// <summary>
/// A queue whose compute thread runs a batch only when the test calls for it, and whose clock advances only by the test. An item
/// is a text. Its kind is its first letter, and its result is the text in brackets.
/// </summary>
internal sealed class SteppedQueue : IDisposable
{
    private readonly Queue<(Action Run, TaskCompletionSource Done)> _posted = [];
    private readonly CancellationToken _cancellation;

    /// <param name="cancellation">Cancellation of the test, which ends calls that get no answer.</param>
    public SteppedQueue(CancellationToken cancellation, int size, TimeSpan wait = default)
    {
        _cancellation = cancellation;
        Queue = new BatchQueue<string, string>(new BatchBounds(size, wait), item => item[0], Compute, Post, Time, Waits.Add);
    }

    public FakeTimeProvider Time { get; } = new();

    public BatchQueue<string, string> Queue { get; }

    /// <summary>The batches of the forward passes so far.</summary>
    public List<string[]> Batches { get; } = [];

    public List<TimeSpan> Waits { get; } = [];

    /// <summary>Action that runs inside the next pass.</summary>
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

    /// <summary>Simulates the end of the compute thread.</summary>
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
