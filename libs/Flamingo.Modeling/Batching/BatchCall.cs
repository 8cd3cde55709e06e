namespace Flamingo.Modeling.Batching;

/// <param name="Size">Most items of one forward pass.</param>
/// <param name="Wait">How long a call may wait for company while the compute thread is idle; zero: it takes what waits already.</param>
public sealed record BatchBounds(int Size, TimeSpan Wait);

/// <summary>
/// One caller's items on their way through batches. What is taken is guarded by the queue's lock; answers come from the one compute thread.
/// </summary>
internal sealed class BatchCall<TItem, TResult>
{
    private readonly (int Index, object? Kind)[] _order;
    private readonly TResult[] _results;
    private int _taken, _answered;

    /// <param name="arrived">Timestamp.</param>
    public BatchCall(IReadOnlyList<TItem> items, Func<TItem, object?> kind, long arrived)
    {
        (Items, Arrived, _results) = (items, arrived, new TResult[items.Count]);
        // of a kind one behind the other, so that they can ride together
        _order = [.. items.Select((item, index) => (Index: index, Kind: kind(item))).GroupBy(item => item.Kind).SelectMany(group => group)];
    }

    public IReadOnlyList<TItem> Items { get; }

    public long Arrived { get; }

    public TaskCompletionSource<IReadOnlyList<TResult>> Completion { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Items not yet taken into a batch.</summary>
    public int Waiting => _order.Length - _taken;

    public object? NextKind => _order[_taken].Kind;

    /// <returns>Index of the item that rides now.</returns>
    public int Take() => _order[_taken++].Index;

    public void Answer(int index, TResult result)
    {
        _results[index] = result;
        if (++_answered == _results.Length) Completion.TrySetResult(_results);
    }
}
