using Flamingo.Abstractions;
using Flamingo.Wire;
using Grpc.Core;
using Microsoft.Extensions.Logging;
using Polly;
using Polly.Retry;

namespace Flamingo.Client.Connecting;

/// <summary>
/// Calls to gateways in turn. Failures come back as <see cref="FlamingoException"/>, the caller's own cancellation as itself. A call
/// that a gateway did not begin to answer is made again at the next one. Polly counts and waits, because gRPC's own retries end
/// with the response headers and take a broken connection for a defect, and because gRPC's balancer, when several addresses are gone
/// at once, now and then leaves a call waiting for ever.
/// </summary>
internal sealed class GatewayCalls : IDisposable
{
    // a balancer does not say which server it chose: where one of two is dead, it chooses that one every other time
    private const int AttemptsAtName = 10;

    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50), LongestPause = TimeSpan.FromMilliseconds(500);

    /// <summary>How long a gateway that failed is passed over while there is another.</summary>
    private static readonly TimeSpan Rest = TimeSpan.FromSeconds(2);

    private static readonly ResiliencePropertyKey<BegunCall> Begun = new(nameof(Begun));

    private readonly FlamingoClientOptions _options;
    private readonly Gateway[] _gateways;
    private readonly long?[] _failed; // when a call last failed there
    private readonly ResiliencePipeline _retries;
    private uint _turn;

    /// <exception cref="ArgumentException">An option that makes no client, named with what to give instead.</exception>
    public GatewayCalls(FlamingoClientOptions options, ILogger logger)
    {
        if (options.Addresses.Count == 0) throw new ArgumentException("Give at least one address.", nameof(options));
        _options = options;
        _gateways = [.. options.Addresses.Select(address => new Gateway(address, options))];
        _failed = new long?[_gateways.Length];
        var attempts = options.Attempts
            ?? (options.Addresses.Any(Gateway.IsName) ? AttemptsAtName : _gateways.Length == 1 ? 1 : 2 * _gateways.Length);
        _retries = new ResiliencePipelineBuilder { TimeProvider = options.TimeProvider }.AddRetry(new RetryStrategyOptions
        {
            MaxRetryAttempts = int.MaxValue,
            ShouldHandle = attempt => ValueTask.FromResult(IsWorthAnother(attempt, attempts)),
            DelayGenerator = attempt => ValueTask.FromResult<TimeSpan?>(Pause(attempt.AttemptNumber)),
            OnRetry = retry =>
            {
                ClientLog.Retrying(logger, retry.RetryDelay, retry.AttemptNumber + 1, retry.Outcome.Exception!.Message);
                return default;
            },
        }).Build();
    }

    /// <summary>
    /// Makes a call until it is answered, refused or out of attempts; where nobody listens anywhere, until the wait for a server
    /// ends.
    /// </summary>
    /// <param name="once">For a change that must not be made twice: it is repeated only if it reached nobody.</param>
    public async Task<T> RunAsync<T>(
        string tenant, Func<Gateway, CallOptions, Task<T>> call, CancellationToken cancellation, bool once = false)
    {
        var options = CallOptions(tenant, cancellation);
        var context = ResilienceContextPool.Shared.Get(cancellation);
        context.Properties.Set(Begun, new BegunCall(_options.TimeProvider.GetTimestamp(), once));
        try
        {
            return await _retries.ExecuteAsync(_ => AttemptAsync(call, options), context);
        }
        finally
        {
            ResilienceContextPool.Shared.Return(context);
        }
    }

    /// <summary>A stream until its first message has come, so that an answer that has begun is never asked for again.</summary>
    public Task<BegunStream<T>> BeginAsync<T>(
        string tenant, Func<Gateway, CallOptions, AsyncServerStreamingCall<T>> begin, CancellationToken cancellation) =>
        RunAsync(tenant, async (gateway, options) =>
        {
            var call = begin(gateway, options);
            try
            {
                return new BegunStream<T>(call, await call.ResponseStream.MoveNext(cancellation), gateway);
            }
            catch
            {
                call.Dispose();
                throw;
            }
        }, cancellation);

    public void Dispose()
    {
        foreach (var gateway in _gateways) gateway.Dispose();
    }

    private CallOptions CallOptions(string tenant, CancellationToken cancellation)
    {
        var headers = new Metadata();
        foreach (var (name, value) in _options.Headers) headers.Add(name, value);
        headers = TenantHeader.With(headers, tenant);
        var deadline = _options.Timeout is { } longest ? _options.TimeProvider.GetUtcNow().UtcDateTime + longest : (DateTime?)null;
        return new CallOptions(headers, deadline, cancellation);
    }

    private async ValueTask<T> AttemptAsync<T>(Func<Gateway, CallOptions, Task<T>> call, CallOptions options)
    {
        var place = Next();
        try
        {
            return await call(_gateways[place], options);
        }
        catch (RpcException exception)
        {
            options.CancellationToken.ThrowIfCancellationRequested();
            var failure = _gateways[place].Failure(exception);
            lock (_failed)
            {
                if (failure.Kind == FlamingoErrorKind.Unavailable) _failed[place] = _options.TimeProvider.GetTimestamp();
                // a gateway that misses pictures needs their bytes, and so the next call goes there again
                if (failure.Kind == FlamingoErrorKind.NotFound) _turn--;
            }

            throw failure;
        }
    }

    private bool IsWorthAnother(RetryPredicateArguments<object> attempt, int attempts)
    {
        if (attempt.Outcome.Exception is not FlamingoException { Kind: FlamingoErrorKind.Unavailable } failure) return false;
        var begun = attempt.Context.Properties.GetValue(Begun, default);
        var reachedNobody = failure.InnerException is RpcException cause && cause.WhyNotReached() is not null;
        return (reachedNobody && _options.TimeProvider.GetElapsedTime(begun.At) < _options.WaitForServer)
            || (!begun.Once && attempt.AttemptNumber + 1 < attempts);
    }

    // another gateway is asked at once, and pauses grow when all have been asked
    private TimeSpan Pause(int retry)
    {
        var rounds = retry + 1 - _gateways.Length;
        return rounds < 0 ? TimeSpan.Zero : rounds > 3 ? LongestPause : FirstPause * (1 << rounds);
    }

    // in turn, and those that have not just failed first
    private int Next()
    {
        lock (_failed)
        {
            var first = (int)(_turn++ % (uint)_gateways.Length);
            var order = Enumerable.Range(first, _gateways.Length).Select(place => place % _gateways.Length).ToList();
            var sound = order.FindIndex(place => _failed[place] is not { } when || _options.TimeProvider.GetElapsedTime(when) >= Rest);
            return order[Math.Max(sound, 0)];
        }
    }

    private readonly record struct BegunCall(long At, bool Once);
}

/// <summary>An answer whose first message has come.</summary>
/// <param name="hasBegun">Whether there is a first message.</param>
internal sealed class BegunStream<T>(AsyncServerStreamingCall<T> call, bool hasBegun, Gateway gateway) : IDisposable
{
    public bool HasBegun => hasBegun;

    public T Current => call.ResponseStream.Current;

    /// <exception cref="FlamingoException">The gateway failed in the middle of the answer.</exception>
    public async Task<bool> MoveNextAsync(CancellationToken cancellation)
    {
        try
        {
            return await call.ResponseStream.MoveNext(cancellation);
        }
        catch (RpcException exception)
        {
            cancellation.ThrowIfCancellationRequested();
            throw gateway.Failure(exception);
        }
    }

    public void Dispose() => call.Dispose();
}
