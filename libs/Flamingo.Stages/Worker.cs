namespace Flamingo.Stages;

/// <summary>
/// A part of a process that does its work one unit after the other, for example a thread. It says what it does, so that the process
/// can be watched: a unit that never ends, or a worker that has ended with an error, makes the process useless.
/// </summary>
/// <param name="name">Name for messages, with an article, for example "the inference thread".</param>
public sealed class Worker(string name)
{
    private long _begun, _running;
    private Exception? _failure;

    public string Name { get; } = name;

    /// <summary>Number of the unit of work that runs now. Each unit has another number. Null means that the worker is idle.</summary>
    public long? Running => Volatile.Read(ref _running) is > 0 and var unit ? unit : null;

    /// <summary>Why the worker has ended for good; null while it works or waits for work.</summary>
    public Exception? Failure => Volatile.Read(ref _failure);

    /// <summary>Called by the worker when it begins a unit of work. Only one thread at a time may call this.</summary>
    public void Begin() => Volatile.Write(ref _running, ++_begun);

    /// <summary>Called by the worker when it has ended a unit of work.</summary>
    public void End() => Volatile.Write(ref _running, 0);

    /// <summary>Called once when the worker can never work again.</summary>
    public void Fail(Exception failure) => Volatile.Write(ref _failure, failure);
}

/// <summary>The workers of one component. A component registers this record, and the process watches all of them.</summary>
public sealed record WorkerGroup(IReadOnlyList<Worker> Workers);

/// <summary>A condition, besides its own health, without which a process cannot serve requests.</summary>
public interface IReadiness
{
    /// <summary>Returns normally if requests can be served.</summary>
    /// <exception cref="Abstractions.FlamingoException">They cannot; the message says why.</exception>
    Task CheckAsync(CancellationToken cancellation);
}
