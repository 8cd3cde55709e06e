using Grpc.Core;

namespace Flamingo.Client.Connecting;

/// <summary>
/// Calls to gateways in turn; failures come back as <see cref="FlamingoException"/>, the caller's own cancellation as itself.
/// A call that a gateway did not begin to answer is made again at the next. Ourselves, because gRPC's own retries end with
/// the response headers and take a broken connection for a defect, and its balancer, when several addresses are gone at
/// once, now and then leaves a call waiting for ever.
/// </summary>
internal sealed class ServiceCalls : IDisposable
{
    // what a name's balancer picks is not ours to choose: a dead one is picked every other time where there are two
    private const int AttemptsAtName = 10;

    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50), LongestPause = TimeSpan.FromMilliseconds(500);

    /// <summary>How long a call waits for somebody to listen, so that a server that is just being started answers it.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>How long a gateway that failed is passed over while there is another.</summary>
    private static readonly TimeSpan Rest = TimeSpan.FromSeconds(2);

    private readonly Gateway[] _gateways;
    private readonly long?[] _failed; // when a call last failed there
    private readonly int _attempts;   // where somebody listens; 1 at a lone gateway
    private readonly TimeProvider _time;
    private uint _turn;

    /// <exception cref="ArgumentException">No address, or one that is none.</exception>
    public ServiceCalls(IReadOnlyList<string> addresses, string tenant, TimeProvider time)
    {
        if (addresses.Count == 0) throw new ArgumentException("Give at least one address.", nameof(addresses));
        _gateways = [.. addresses.Select(address => new Gateway(address, tenant, alone: addresses.Count == 1))];
        _failed = new long?[_gateways.Length];
        _attempts = addresses.Any(Gateway.IsName) ? AttemptsAtName : addresses.Count == 1 ? 1 : 2 * addresses.Count;
        _time = time;
    }

    /// <summary>Where nobody listens anywhere, it is tried until <see cref="Patience"/> ends.</summary>
    /// <param name="once">For what would meet its own first time: Put and Delete of support sets.</param>
    public async Task<T> RunAsync<T>(Func<Gateway, Task<T>> call, CancellationToken cancellation, bool once = false)
    {
        var begun = _time.GetTimestamp();
        for (var (attempt, pause) = (1, FirstPause); ; attempt++)
        {
            var gateway = Next();
            try
            {
                return await call(_gateways[gateway]);
            }
            catch (RpcException exception)
            {
                cancellation.ThrowIfCancellationRequested();
                var failure = FlamingoException.From(exception, _gateways[gateway].Address);
                if (failure.StatusCode != StatusCode.Unavailable)
                {
                    // who misses pictures is the one to send them to
                    if (failure.StatusCode == StatusCode.NotFound) lock (_failed) _turn--;
                    throw failure;
                }

                lock (_failed) _failed[gateway] = _time.GetTimestamp();
                // a call that reached nobody may be made again whatever it is
                var waits = failure.NeverConnected && _time.GetElapsedTime(begun) < Patience;
                if (!waits && (once || attempt >= _attempts)) throw failure;
            }

            if (attempt < _gateways.Length) continue; // another one is asked at once
            await Task.Delay(pause, _time, cancellation);
            pause = TimeSpan.FromTicks(Math.Min(2 * pause.Ticks, LongestPause.Ticks));
        }
    }

    /// <summary>A stream until its first message has come, so that an answer that has begun is never asked for again.</summary>
    /// <returns>The call, to be disposed, and whether a message has come.</returns>
    public Task<(AsyncServerStreamingCall<T> Call, bool Any)> BeginAsync<T>(Func<Gateway, AsyncServerStreamingCall<T>> begin, CancellationToken cancellation) => RunAsync(async gateway =>
    {
        var call = begin(gateway);
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

    /// <summary>The next message of a stream that has begun.</summary>
    public static async Task<bool> MoveNextAsync<T>(AsyncServerStreamingCall<T> call, CancellationToken cancellation)
    {
        try
        {
            return await call.ResponseStream.MoveNext(cancellation);
        }
        catch (RpcException exception)
        {
            cancellation.ThrowIfCancellationRequested();
            throw FlamingoException.From(exception);
        }
    }

    public void Dispose()
    {
        foreach (var gateway in _gateways) gateway.Dispose();
    }

    // in turn, and those that have not just failed first
    private int Next()
    {
        lock (_failed)
        {
            var first = (int)(_turn++ % (uint)_gateways.Length);
            var order = Enumerable.Range(first, _gateways.Length).Select(place => place % _gateways.Length).ToList();
            var sound = order.FindIndex(place => _failed[place] is not { } when || _time.GetElapsedTime(when) >= Rest);
            return order[Math.Max(sound, 0)];
        }
    }
}
