using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;

namespace Flamingo.Training.Data;

/// <summary>Reads a sequence ahead on a thread of its own, in its order, up to a bound.</summary>
public static class Prefetcher
{
    /// <param name="items">Read by one thread alone; it is disposed by that thread.</param>
    /// <param name="ahead">Most items that wait.</param>
    /// <param name="unused">Takes the items that nobody has read when the reader stops.</param>
    /// <exception cref="Exception">An exception of <paramref name="items"/>, in its place of the order.</exception>
    public static IEnumerable<T> Ahead<T>(IEnumerable<T> items, int ahead, Action<T>? unused = null)
    {
        using var stopping = new CancellationTokenSource();
        using var ready = new BlockingCollection<T>(ahead);
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                foreach (var item in items)
                {
                    try
                    {
                        ready.Add(item, stopping.Token);
                    }
                    catch (OperationCanceledException)
                    {
                        unused?.Invoke(item);
                        break;
                    }
                }
            }
            catch (Exception exception)
            {
                failure = exception;
            }

            ready.CompleteAdding();
        })
        { IsBackground = true, Name = "reader of training data" };
        thread.Start();
        try
        {
            foreach (var item in ready.GetConsumingEnumerable()) yield return item;
            if (failure is not null) ExceptionDispatchInfo.Throw(failure);
        }
        finally
        {
            stopping.Cancel();
            thread.Join();
            while (ready.TryTake(out var item)) unused?.Invoke(item);
        }
    }
}
