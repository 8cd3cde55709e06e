using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Bench.Soaking;

/// <summary>One caller in a closed loop. Of those refused, every other one returns after a tenth of the time that it was told: the load never gets polite.</summary>
public sealed class SoakCaller(int number, IFlamingo flamingo, SoakCalls calls, SoakLedger ledger, TimeProvider time)
{
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(1);

    /// <summary>Begins calls for so long; returns when the last has ended.</summary>
    public async Task RunAsync(TimeSpan length, CancellationToken cancellation)
    {
        var started = time.GetTimestamp();
        while (time.GetElapsedTime(started) < length) await CallAsync(calls.Next(), cancellation);
    }

    public async Task CallAsync(SoakCall call, CancellationToken cancellation)
    {
        try
        {
            await call.RunAsync(flamingo, cancellation);
            if (call.Refusal is null) ledger.Answer();
            else ledger.Failure($"{call.Kind}: answered where {call.Refusal} was due");
        }
        catch (FlamingoException refusal) when (refusal.Kind == FlamingoErrorKind.Overloaded)
        {
            ledger.Refusal(refusal.RetryAfter);
            await Task.Delay(Wait(refusal.RetryAfter), time, cancellation);
        }
        catch (FlamingoException refusal) when (refusal.Kind == call.Refusal)
        {
            ledger.Rejection();
        }
        catch (OperationCanceledException) when (call.Leaves && !cancellation.IsCancellationRequested)
        {
            ledger.Leaving();
        }
        catch (Exception exception) when (!cancellation.IsCancellationRequested)
        {
            ledger.Failure($"{call.Kind}: {exception.GetType().Name}: {exception.Message}");
        }
    }

    private TimeSpan Wait(TimeSpan? told)
    {
        var wait = (told ?? LongestWait) * (number % 2 == 0 ? 1 : 0.1);
        return wait < LongestWait ? wait : LongestWait;
    }
}
