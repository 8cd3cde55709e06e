namespace Flamingo.Modeling.Kernels;

/// <summary>
/// One phase of a computation that several threads share: items that are computed in any order, each from what earlier phases have
/// written. An item is computed into the memory of the thread and then written by one thread. Two threads may compute the same item, so
/// <see cref="Compute"/> must change nothing but the worker's memory, and must not fail where the shared memory is being overwritten: the
/// result of a thread that comes too late is dropped.
/// </summary>
/// <typeparam name="TWorker">The working memory of one thread.</typeparam>
public abstract class Phase<TWorker>
{
    /// <summary>Number of items of this run. It must not change during a run.</summary>
    public abstract int Items { get; }

    /// <summary>Computes what all items need, once for each thread that takes part in the phase.</summary>
    public virtual void Prepare(TWorker worker)
    {
    }

    /// <summary>Computes an item into the worker's memory.</summary>
    public abstract void Compute(int item, TWorker worker);

    /// <summary>Copies the result of <see cref="Compute"/> to where later phases read it. It is called once for each item.</summary>
    public abstract void Write(int item, TWorker worker);
}
