using System.Runtime.CompilerServices;
using Flamingo.Stages;
using Flamingo.Transport.Wire;
using Grpc.Core;
using Grpc.Net.Client;

namespace Flamingo.Transport.Remote;

/// <summary>Calls to one peer: failures come back as <see cref="StageException"/>, the caller's own cancellation as itself.</summary>
/// <param name="peer">Name of who answers, for messages.</param>
/// <param name="patience">
/// How long a call waits for a lost connection. A channel that lost all its servers pauses before it tries again and fails
/// calls meanwhile; asking it to connect ends the pause, so that the first call after a restart is answered.
/// </param>
internal sealed class RemoteCalls(GrpcChannel channel, string peer, TimeSpan patience)
{
    public async Task<T> RunAsync<T>(CancellationToken cancellation, Func<Task<T>> call)
    {
        await ConnectAsync(cancellation);
        return await TranslateAsync(cancellation, call);
    }

    public async IAsyncEnumerable<T> ReadAsync<T>(Func<AsyncServerStreamingCall<T>> begin, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await ConnectAsync(cancellation);
        using var call = begin();
        while (await TranslateAsync(cancellation, () => call.ResponseStream.MoveNext(cancellation))) yield return call.ResponseStream.Current;
    }

    private async Task ConnectAsync(CancellationToken cancellation)
    {
        if (patience == TimeSpan.Zero || channel.State == ConnectivityState.Ready) return;
        using var waiting = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        waiting.CancelAfter(patience);
        try
        {
            await channel.ConnectAsync(waiting.Token);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            // nobody is there: the call itself says so best
        }
    }

    private async Task<T> TranslateAsync<T>(CancellationToken cancellation, Func<Task<T>> call)
    {
        try
        {
            return await call();
        }
        catch (RpcException exception)
        {
            cancellation.ThrowIfCancellationRequested();
            throw exception.ToStage(peer);
        }
    }
}
