using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.Transport.Remote.Replicas;
using Flamingo.Transport.Wire;
using Grpc.Core;

namespace Flamingo.Transport.Remote;

/// <summary>
/// Calls to one peer: failures come back as <see cref="FlamingoException"/>, the caller's own cancellation as itself. A call
/// whose replica is gone is made again at another: each is a pure function of its request. A stream that has begun is not.
/// </summary>
/// <param name="peer">Name of who answers, for messages; they add the address.</param>
/// <param name="patience">
/// How long a call waits for a lost connection. A channel that lost all its servers pauses before it tries again and fails
/// calls meanwhile; asking it to connect ends the pause, so that the first call after a restart is answered.
/// </param>
/// <param name="remedy">What to do where nobody can be reached, one sentence.</param>
internal sealed class RemoteCalls(StageChannel channel, string peer, TimeSpan patience, string remedy = "")
{
    private readonly string _peer = $"{peer} at {channel.Address}";

    /// <summary>Each at another replica, where there is one: three may die under a call.</summary>
    private const int Attempts = 4;

    /// <summary>Before the second attempt, doubled before each further one: a lone server that has just gone is noticed, and then waited for.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    /// <summary>gRPC's balancer now and then leaves a call waiting for ever for a change that has already come: after so long without being sent it is taken back and made again.</summary>
    private static readonly TimeSpan LongestUnsent = TimeSpan.FromSeconds(5);

    /// <summary>For a stage of a gateway.</summary>
    public static string RemedyFor(string stage) => $"See that it runs, and that the gateway's Stages:{stage} is its address.";

    /// <param name="key">See <see cref="ReplicaChoice.Begin"/>.</param>
    /// <param name="call">Makes the call, with these headers and this token.</param>
    public async Task<T> RunAsync<T>(string? key, CancellationToken cancellation, Func<Metadata, CancellationToken, Task<T>> call)
    {
        using var begun = channel.Replicas.Begin(key);
        return await TryAsync(begun, cancellation, token => call(begun.Headers, token));
    }

    /// <param name="key">See <see cref="ReplicaChoice.Begin"/>.</param>
    /// <param name="begin">Makes the call, with these headers and this token.</param>
    public async IAsyncEnumerable<T> ReadAsync<T>(string? key, Func<Metadata, CancellationToken, AsyncServerStreamingCall<T>> begin, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var begun = channel.Replicas.Begin(key);
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
        for (var (attempt, pause) = (1, Pause); ; attempt++, pause *= 2)
        {
            var again = await ConnectAsync(cancellation) && attempt < Attempts;
            try
            {
                return await SendAsync(begun, cancellation, call);
            }
            catch (FlamingoException failure) when (again && failure.Kind == FlamingoErrorKind.Unavailable)
            {
                await Task.Delay(pause, channel.Time, cancellation);
            }
        }
    }

    // one attempt; where the balancer does not listen to its token, it is left behind
    private async Task<T> SendAsync<T>(ReplicaChoice.BegunCall begun, CancellationToken cancellation, Func<CancellationToken, Task<T>> call)
    {
        using var unsent = new CancellationTokenSource(LongestUnsent, channel.Time);
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

    /// <returns>False: nobody came, however long it waited.</returns>
    private async Task<bool> ConnectAsync(CancellationToken cancellation)
    {
        if (patience == TimeSpan.Zero || channel.Channel.State == ConnectivityState.Ready) return true;
        using var waiting = new CancellationTokenSource(patience, channel.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(waiting.Token, cancellation);
        try
        {
            await channel.Channel.ConnectAsync(either.Token).WaitAsync(either.Token);
            return true;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return false; // the call itself says so best
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
            var failure = exception.ToStage(_peer, remedy);
            if (failure.Kind == FlamingoErrorKind.Unavailable) begun.Fail();
            throw failure;
        }
    }
}
