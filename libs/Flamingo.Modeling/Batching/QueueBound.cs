using Flamingo.Abstractions;

namespace Flamingo.Modeling.Batching;

/// <summary>
/// Bounds the items of all calls that are in a stage at once, from their arrival until their answer. A call that would exceed the
/// bound is refused, unless the stage is empty: a call that is larger than the bound is served alone.
/// </summary>
/// <param name="most">Most items.</param>
/// <param name="option">Name of the option that sets the bound, for messages.</param>
public sealed class QueueBound(int most, string option, TimeProvider time)
{
    private static readonly TimeSpan ShortestWait = TimeSpan.FromMilliseconds(100), LongestWait = TimeSpan.FromSeconds(60);

    private readonly Lock _lock = new();
    private int _items;
    private double _secondsPerItem = 0.05;

    /// <summary>Number of items in the stage.</summary>
    public int Items
    {
        get
        {
            lock (_lock) return _items;
        }
    }

    /// <summary>Counts the items of a call until the result is disposed.</summary>
    /// <exception cref="FlamingoException">Overloaded, with the time in which the stage is expected to compute as many items.</exception>
    public IDisposable Enter(int items)
    {
        lock (_lock)
        {
            if (_items > 0 && _items + items > most)
            {
                var wait = TimeSpan.FromSeconds(Math.Clamp(items * _secondsPerItem, ShortestWait.TotalSeconds, LongestWait.TotalSeconds));
                throw new FlamingoException(
                    FlamingoErrorKind.Overloaded,
                    $"{_items} frames are waiting already, and this call has {items}. Try again in {wait.TotalSeconds:0.0} s, or raise "
                    + $"{option}.") { RetryAfter = wait };
            }

            _items += items;
            return new Entry(this, items, _items, time.GetTimestamp());
        }
    }

    private void Leave(int items, int before, long entered)
    {
        lock (_lock)
        {
            _items -= items;
            // The call waited for the items before it and for its own.
            _secondsPerItem += 0.2 * ((time.GetElapsedTime(entered).TotalSeconds / before) - _secondsPerItem);
        }
    }

    private sealed class Entry(QueueBound bound, int items, int before, long entered) : IDisposable
    {
        private int _disposed;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _disposed, 1) == 0) bound.Leave(items, before, entered);
        }
    }
}
