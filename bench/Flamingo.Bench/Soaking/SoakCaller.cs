using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Bench.Soaking;

/// <summary>
/// Sends calls in a closed loop. After every second refusal it retries after a tenth of the retry delay, so that the server is also
/// tested with clients that ignore the delay.
/// </summary>
public sealed class SoakCaller(int number, IFlamingo flamingo, SoakCalls calls, SoakLedger ledger, TimeProvider time)
{
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(1);

    /// <summary>Starts calls for the given time and returns when the last call has ended.</summary>
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
            else ledger.Failure($"{call.Kind}: answered where {call.Refusal} was expected");
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
