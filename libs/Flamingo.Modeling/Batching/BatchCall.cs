using Flamingo.Stages;

namespace Flamingo.Modeling.Batching;

/// <summary>Limits of a batch.</summary>
/// <param name="Size">Most items of one forward pass.</param>
/// <param name="Wait">
/// How long a call may wait for more items while the compute thread is idle. With zero, a batch takes only the items that are
/// waiting already.
/// </param>
public sealed record BatchBounds(int Size, TimeSpan Wait);

/// <summary>
/// The items of one call, which may be computed in several batches. The queue's lock guards which items have been taken; only the
/// compute thread sets results.
/// </summary>
internal sealed class BatchCall<TItem, TResult>
{
    private readonly (int Index, object? Kind)[] _order;
    private readonly TResult[] _results;
    private int _taken, _answered;

    /// <param name="arrived">Timestamp of the call's arrival.</param>
    public BatchCall(IReadOnlyList<TItem> items, Func<TItem, object?> kind, long arrived)
    {
        (Items, Arrived, _results) = (items, arrived, new TResult[items.Count]);
        // Items of one kind are adjacent, so that they can share a batch.
        _order = [.. items.Select((item, index) => (Index: index, Kind: kind(item))).GroupBy(item => item.Kind).SelectMany(group => group)];
    }

    public IReadOnlyList<TItem> Items { get; }

    public long Arrived { get; }

    /// <summary>Timestamp at which the first item was taken into a batch; 0 before.</summary>
    public long Begun { get; set; }

    /// <summary>The request that the call belongs to.</summary>
    public RequestTrace Trace { get; } = RequestTrace.Current;

    /// <summary>Whether all items but one are computed.</summary>
    public bool IsLast => _answered == _results.Length - 1;

    public TaskCompletionSource<IReadOnlyList<TResult>> Completion { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Number of items that have not been taken into a batch yet.</summary>
    public int Waiting => _order.Length - _taken;

    public object? NextKind => _order[_taken].Kind;

    /// <returns>Index of the item to put into the batch.</returns>
    public int Take() => _order[_taken++].Index;

    public void Answer(int index, TResult result)
    {
        _results[index] = result;
        if (++_answered == _results.Length) Completion.TrySetResult(_results);
    }
}
