using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Transport.Remote.Replicas;
using Flamingo.Wire;
using Grpc.Core;
using Polly;
using Polly.Retry;

namespace Flamingo.Transport.Remote;

/// <summary>
/// Calls to one stage. Failures come back as <see cref="FlamingoException"/>, the caller's own cancellation as itself. A call whose
/// replica is gone is made again at another one, because each call is a pure function of its request; a stream that has begun is
/// not. The client's calls have other rules (gateways in turn, calls that must not be repeated), so each side configures Polly's
/// retry for itself.
/// </summary>
internal sealed class RemoteCalls
{
    /// <summary>Each goes to another replica, where there is one: three may die under a call.</summary>
    private const int Attempts = 4;

    /// <summary>
    /// Before the second attempt, doubled before each further one, so that a lone server that has just gone can come back.
    /// </summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    /// <summary>
    /// gRPC's balancer sometimes leaves a call waiting for ever for a change that has already come. A call that has not been sent
    /// for so long is taken back and made again.
    /// </summary>
    private static readonly TimeSpan LongestUnsent = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Whether a server listened when the attempt began. Where none came within the patience, no further attempt waits for one.
    /// </summary>
    private static readonly ResiliencePropertyKey<bool> Connected = new(nameof(Connected));

    private readonly StageChannel _channel;
    private readonly string _peer, _remedy;
    private readonly TimeSpan _patience;
    private readonly ResiliencePipeline _retries;

    /// <param name="stage">Name of the stage, for messages, which add its address.</param>
    /// <param name="patience">
    /// How long a call waits for a lost connection. A channel that lost all its servers pauses before it tries again and fails
    /// calls meanwhile; asking it to connect ends the pause, so that the first call after a restart is answered.
    /// </param>
    public RemoteCalls(StageChannel channel, string stage, TimeSpan patience)
    {
        (_channel, _patience) = (channel, patience);
        _peer = $"{stage} at {channel.Address}";
        _remedy = $"See that it runs, and that the gateway's Stages:{stage} is its address.";
        _retries = new ResiliencePipelineBuilder { TimeProvider = channel.Time }.AddRetry(new RetryStrategyOptions
        {
            MaxRetryAttempts = Attempts - 1, Delay = Pause, BackoffType = DelayBackoffType.Exponential,
            ShouldHandle = attempt => ValueTask.FromResult(
                attempt.Outcome.Exception is FlamingoException { Kind: FlamingoErrorKind.Unavailable }
                && attempt.Context.Properties.GetValue(Connected, false)),
        }).Build();
    }

    /// <param name="key">See <see cref="ReplicaChoice.Begin"/>.</param>
    /// <param name="call">Makes the call, with these headers and this token.</param>
    public async Task<T> RunAsync<T>(string? key, CancellationToken cancellation, Func<Metadata, CancellationToken, Task<T>> call)
    {
        using var begun = _channel.Replicas.Begin(key);
        return await TryAsync(begun, cancellation, token => call(begun.Headers, token));
    }

    /// <param name="key">See <see cref="ReplicaChoice.Begin"/>.</param>
    /// <param name="begin">Makes the call, with these headers and this token.</param>
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

    // One attempt. The balancer does not always listen to its token; then its task is abandoned.
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
            throw new FlamingoException(FlamingoErrorKind.Unavailable, $"{_peer}: no connection took the call for {waited}.");
        }
        finally
        {
            begun.OnSent(null);
        }
    }

    /// <returns>False: no server listened within the patience.</returns>
    private async Task<bool> ConnectAsync(CancellationToken cancellation)
    {
        if (_patience == TimeSpan.Zero || _channel.Channel.State == ConnectivityState.Ready) return true;
        using var waiting = new CancellationTokenSource(_patience, _channel.Time);
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
