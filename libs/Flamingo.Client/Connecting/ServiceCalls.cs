using System.Net.Sockets;
using Grpc.Core;

namespace Flamingo.Client.Connecting;

/// <summary>
/// Calls whose failures come back as <see cref="FlamingoException"/>, the caller's own cancellation as itself. Where there
/// are several gateways, a call that one of them did not begin to answer is made again: the next in turn takes it. gRPC's
/// own retries would end with the response headers, and take a broken connection for a defect.
/// </summary>
/// <param name="attempts">1 where there is one gateway: who asks by hand wants to know at once that nobody is there.</param>
internal sealed class ServiceCalls(int attempts, TimeProvider time)
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50), LongestPause = TimeSpan.FromMilliseconds(500);

    /// <param name="once">For what would meet its own first time: Put and Delete of support sets.</param>
    public async Task<T> RunAsync<T>(Func<Task<T>> call, CancellationToken cancellation, bool once = false)
    {
        for (var (attempt, pause) = (1, FirstPause); ; attempt++, pause = TimeSpan.FromTicks(Math.Min(2 * pause.Ticks, LongestPause.Ticks)))
        {
            try
            {
                return await call();
            }
            catch (RpcException exception)
            {
                cancellation.ThrowIfCancellationRequested();
                if (once || attempt == attempts || !IsGone(exception)) throw FlamingoException.From(exception);
            }

            await Task.Delay(pause, time, cancellation);
        }
    }

    /// <summary>Until the first message has come, so that an answer that has begun is never asked for again.</summary>
    /// <returns>The call, to be disposed, and whether a message has come.</returns>
    public Task<(AsyncServerStreamingCall<T> Call, bool Any)> BeginAsync<T>(Func<AsyncServerStreamingCall<T>> begin, CancellationToken cancellation) => RunAsync(async () =>
    {
        var call = begin();
        try
        {
            return (call, await call.ResponseStream.MoveNext(cancellation));
        }
        catch
        {
            call.Dispose();
            throw;
        }
    }, cancellation);

    // CANCELLED is what a connection reports that could not be made in time
    private static bool IsGone(RpcException exception)
    {
        if (exception.StatusCode is StatusCode.Unavailable or StatusCode.Cancelled) return true;
        for (var inner = exception.Status.DebugException; inner is not null; inner = inner.InnerException)
            if (inner is IOException or HttpRequestException or SocketException) return true;
        return false;
    }
}
