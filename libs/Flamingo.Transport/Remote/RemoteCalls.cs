using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Transport.Remote.Replicas;
using Flamingo.Wire;
using Grpc.Core;
using Polly;
using Polly.Retry;

namespace Flamingo.Transport.Remote;

/// <summary>
/// Makes the calls to one stage. Failures are thrown as <see cref="FlamingoException"/>; the caller's own cancellation stays an
/// <see cref="OperationCanceledException"/>. A call whose replica is gone is retried at another replica, because each call is a
/// pure function of its request. A stream that has begun is not retried. The client retries by other rules (gateways in turn,
/// calls that must not be repeated), so each side configures Polly's retry separately.
/// </summary>
internal sealed class RemoteCalls
{
    /// <summary>Number of attempts. Each goes to another replica if there is one, so a call survives three failing replicas.</summary>
    private const int Attempts = 4;

    /// <summary>
    /// Delay before the second attempt, doubled before each further attempt, so that a single server can restart meanwhile.
    /// </summary>
    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(50);

    /// <summary>
    /// gRPC's balancer sometimes leaves a call waiting for ever for a change that has already happened. A call that has not been
    /// sent within this time is cancelled and retried.
    /// </summary>
    private static readonly TimeSpan LongestUnsent = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Whether a server was connected when the attempt began. If no server could be connected within the wait, the call is not retried.
    /// </summary>
    private static readonly ResiliencePropertyKey<bool> Connected = new(nameof(Connected));

    private readonly StageChannel _channel;
    private readonly string _peer, _remedy;
    private readonly TimeSpan _connectWait;
    private readonly ResiliencePipeline _retries;

    /// <param name="stage">Name of the stage, for messages.</param>
    /// <param name="connectWait">
    /// How long a call waits for a connection. A channel that has lost all its servers pauses before it reconnects and fails
    /// calls meanwhile. Requesting a connection ends the pause, so that the first call after a restart succeeds.
    /// </param>
    public RemoteCalls(StageChannel channel, string stage, TimeSpan connectWait)
    {
        (_channel, _connectWait) = (channel, connectWait);
        _peer = $"{stage} at {channel.Address}";
        _remedy = $"Check that it runs and that the gateway's Stages:{stage} is its address.";
        _retries = new ResiliencePipelineBuilder { TimeProvider = channel.Time }.AddRetry(new RetryStrategyOptions
        {
            MaxRetryAttempts = Attempts - 1, Delay = FirstDelay, BackoffType = DelayBackoffType.Exponential,
            ShouldHandle = attempt => ValueTask.FromResult(
                attempt.Outcome.Exception is FlamingoException { Kind: FlamingoErrorKind.Unavailable }
                && attempt.Context.Properties.GetValue(Connected, false)),
        }).Build();
    }

    /// <param name="key">See <see cref="ReplicaChoice.Begin"/>.</param>
    /// <param name="call">Makes the call with the given headers and token.</param>
    public async Task<T> RunAsync<T>(string? key, CancellationToken cancellation, Func<Metadata, CancellationToken, Task<T>> call)
    {
        using var begun = _channel.Replicas.Begin(key);
        return await TryAsync(begun, cancellation, token => call(begun.Headers, token));
    }

    /// <param name="key">See <see cref="ReplicaChoice.Begin"/>.</param>
    /// <param name="begin">Opens the stream with the given headers and token.</param>
    public async IAsyncEnumerable<T> ReadAsync<T>(
        string? key, Func<Metadata, CancellationToken, AsyncServerStreamingCall<T>> begin,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var begun = _channel.Replicas.Begin(key);
        var (call, any) = await TryAsync(begun, cancellation, async token =>
        {
            var attempt = begin(begun.Headers, token);
            try
            {
                return (attempt, await attempt.ResponseStream.MoveNext(token));
            }
            catch
            {
                attempt.Dispose();
                throw;
            }
        });
        using var reading = call;
        while (any)
        {
            yield return call.ResponseStream.Current;
            any = await TranslateAsync(begun, cancellation, () => call.ResponseStream.MoveNext(cancellation));
        }
    }

    private async Task<T> TryAsync<T>(ReplicaChoice.BegunCall begun, CancellationToken cancellation, Func<CancellationToken, Task<T>> call)
    {
        var context = ResilienceContextPool.Shared.Get(cancellation);
        try
        {
            return await _retries.ExecuteAsync(async attempt =>
            {
                attempt.Properties.Set(Connected, await ConnectAsync(cancellation));
                return await SendAsync(begun, cancellation, call);
            }, context);
        }
        finally
        {
            ResilienceContextPool.Shared.Return(context);
        }
    }

    // Makes one attempt. The balancer does not always observe its cancellation token, so WaitAsync abandons its task.
    private async Task<T> SendAsync<T>(ReplicaChoice.BegunCall begun, CancellationToken cancellation, Func<CancellationToken, Task<T>> call)
    {
        using var unsent = new CancellationTokenSource(LongestUnsent, _channel.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(unsent.Token, cancellation);
        begun.OnSent(() => unsent.CancelAfter(Timeout.InfiniteTimeSpan));
        try
        {
            return await TranslateAsync(begun, cancellation, () => call(either.Token).WaitAsync(either.Token));
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested && unsent.IsCancellationRequested)
        {
            var waited = $"{LongestUnsent.TotalSeconds:0} s";
            throw new FlamingoException(
                FlamingoErrorKind.Unavailable, $"{_peer}: the call could not be sent on any connection for {waited}.");
        }
        finally
        {
            begun.OnSent(null);
        }
    }

    /// <returns>False if no server could be connected within the wait.</returns>
    private async Task<bool> ConnectAsync(CancellationToken cancellation)
    {
        if (_connectWait == TimeSpan.Zero || _channel.Channel.State == ConnectivityState.Ready) return true;
        using var waiting = new CancellationTokenSource(_connectWait, _channel.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(waiting.Token, cancellation);
        try
        {
            await _channel.Channel.ConnectAsync(either.Token).WaitAsync(either.Token);
            return true;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return false; // the call that follows fails and says why
        }
    }

    private async Task<T> TranslateAsync<T>(ReplicaChoice.BegunCall begun, CancellationToken cancellation, Func<Task<T>> call)
    {
        try
        {
            return await call();
        }
        catch (RpcException exception)
        {
            cancellation.ThrowIfCancellationRequested();
            var failure = exception.ToFlamingoException(_peer, _remedy);
            if (failure.Kind == FlamingoErrorKind.Unavailable) begun.Fail();
            throw failure;
        }
    }
}
