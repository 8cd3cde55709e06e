using Flamingo.Abstractions;
using Flamingo.Wire;
using Grpc.Core;
using Microsoft.Extensions.Logging;
using Polly;
using Polly.Retry;

namespace Flamingo.Client.Connecting;

/// <summary>
/// Makes calls to the gateways in turn. Failures are thrown as <see cref="FlamingoException"/>; the caller's own cancellation
/// stays an <see cref="OperationCanceledException"/>. A call that a gateway did not begin to answer is retried at the next
/// gateway. Polly does the retries, because gRPC's own retries stop at the response headers and do not retry a broken connection,
/// and because gRPC's balancer sometimes leaves a call waiting for ever when several addresses fail at once.
/// </summary>
internal sealed class GatewayCalls : IDisposable
{
    // A balancer does not report which server it chose. If one of two servers is dead, it chooses the dead one every other time.
    private const int AttemptsAtName = 10;

    private const string Authorization = "authorization";

    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(50), LongestDelay = TimeSpan.FromMilliseconds(500);

    /// <summary>How long a gateway at which a call failed is skipped while another gateway is available.</summary>
    private static readonly TimeSpan FailureCooldown = TimeSpan.FromSeconds(2);

    private static readonly ResiliencePropertyKey<BegunCall> Begun = new(nameof(Begun));

    private readonly FlamingoClientOptions _options;
    private readonly Gateway[] _gateways;
    private readonly long?[] _failed; // timestamp of the last failed call, per gateway
    private readonly ResiliencePipeline _retries;
    private uint _nextIndex;

    /// <exception cref="ArgumentException">An option is invalid; the message names the option and the remedy.</exception>
    public GatewayCalls(FlamingoClientOptions options, ILogger logger)
    {
        if (options.Addresses.Count == 0) throw new ArgumentException("Give at least one address.", nameof(options));
        CheckKey(options);
        _options = options;
        _gateways = [.. options.Addresses.Select(address => new Gateway(address, options))];
        _failed = new long?[_gateways.Length];
        if (options.Key is not null && _gateways.Where(gateway => gateway.IsReadableOnTheWay).Select(gateway => gateway.Address).ToList()
            is { Count: > 0 } readable)
            ClientLog.KeyWithoutTls(logger, string.Join(", ", readable));
        var attempts = options.Attempts
            ?? (options.Addresses.Any(Gateway.IsName) ? AttemptsAtName : _gateways.Length == 1 ? 1 : 2 * _gateways.Length);
        _retries = new ResiliencePipelineBuilder { TimeProvider = options.TimeProvider }.AddRetry(new RetryStrategyOptions
        {
            MaxRetryAttempts = int.MaxValue,
            ShouldHandle = attempt => ValueTask.FromResult(ShouldRetry(attempt, attempts)),
            DelayGenerator = attempt => ValueTask.FromResult<TimeSpan?>(RetryDelay(attempt.AttemptNumber)),
            OnRetry = retry =>
            {
                ClientLog.Retrying(logger, retry.RetryDelay, retry.AttemptNumber + 1, retry.Outcome.Exception!.Message);
                return default;
            },
        }).Build();
    }

    /// <summary>
    /// Makes a call and retries it until it is answered, refused or out of attempts. While no server listens, retries go on until
    /// <see cref="FlamingoClientOptions.WaitForServer"/> has passed.
    /// </summary>
    /// <param name="once">Whether the call must not be executed twice; it is then retried only if it reached no server.</param>
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

    /// <summary>
    /// Opens a stream and waits for its first message. Retries end there, so that an answer that has begun is never requested
    /// again.
    /// </summary>
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

    // No message quotes the key.
    private static void CheckKey(FlamingoClientOptions options)
    {
        if (options.Key is not { } key) return;
        if (key.Length == 0 || key.Any(character => character is <= ' ' or > '~'))
            throw new ArgumentException("Key is empty or has a space or another character that no key has. Give it as it was shown.",
                nameof(options));
        if (options.CallCredentials is not null
            || options.Headers.Keys.Any(name => name.Equals(Authorization, StringComparison.OrdinalIgnoreCase)))
            throw new ArgumentException("Key excludes CallCredentials and a header 'authorization'. Give one of them.", nameof(options));
    }

    private CallOptions CallOptions(string tenant, CancellationToken cancellation)
    {
        var headers = new Metadata();
        foreach (var (name, value) in _options.Headers) headers.Add(name, value);
        if (_options.Key is { } key) headers.Add(Authorization, $"Bearer {key}");
        headers = TenantHeader.With(headers, tenant);
        var deadline = _options.Timeout is { } longest ? _options.TimeProvider.GetUtcNow().UtcDateTime + longest : (DateTime?)null;
        return new CallOptions(headers, deadline, cancellation);
    }

    private async ValueTask<T> AttemptAsync<T>(Func<Gateway, CallOptions, Task<T>> call, CallOptions options)
    {
        var index = Next();
        try
        {
            return await call(_gateways[index], options);
        }
        catch (RpcException exception)
        {
            options.CancellationToken.ThrowIfCancellationRequested();
            var failure = _gateways[index].Failure(exception);
            lock (_failed)
            {
                if (failure.Kind == FlamingoErrorKind.Unavailable) _failed[index] = _options.TimeProvider.GetTimestamp();
                // A gateway that lacks pictures needs their bytes, so the next call goes to the same gateway.
                if (failure.Kind == FlamingoErrorKind.NotFound) _nextIndex--;
            }

            throw failure;
        }
    }

    private bool ShouldRetry(RetryPredicateArguments<object> attempt, int attempts)
    {
        if (attempt.Outcome.Exception is not FlamingoException { Kind: FlamingoErrorKind.Unavailable } failure) return false;
        var begun = attempt.Context.Properties.GetValue(Begun, default);
        var reachedNoServer = failure.InnerException is RpcException cause && cause.WhyNotReached() is not null;
        return (reachedNoServer && _options.TimeProvider.GetElapsedTime(begun.At) < _options.WaitForServer)
            || (!begun.Once && attempt.AttemptNumber + 1 < attempts);
    }

    // The first retry at each other gateway is immediate. Delays grow after every gateway has been tried.
    private TimeSpan RetryDelay(int retry)
    {
        var rounds = retry + 1 - _gateways.Length;
        return rounds < 0 ? TimeSpan.Zero : rounds > 3 ? LongestDelay : FirstDelay * (1 << rounds);
    }

    // Round robin. Gateways that failed recently are skipped while another gateway is available.
    private int Next()
    {
        lock (_failed)
        {
            var first = (int)(_nextIndex++ % (uint)_gateways.Length);
            var order = Enumerable.Range(first, _gateways.Length).Select(index => index % _gateways.Length).ToList();
            var available = order.FindIndex(
                index => _failed[index] is not { } when || _options.TimeProvider.GetElapsedTime(when) >= FailureCooldown);
            return order[Math.Max(available, 0)];
        }
    }

    private readonly record struct BegunCall(long At, bool Once);
}

/// <summary>A stream whose first message has arrived.</summary>
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
