using System.Runtime.CompilerServices;
using Flamingo.Stages;
using Flamingo.Transport.Wire;
using Grpc.Core;

namespace Flamingo.Transport.Remote;

/// <summary>Calls whose failures come back as <see cref="StageException"/>, the caller's own cancellation as itself.</summary>
internal static class RemoteCall
{
    public static async Task<T> RunAsync<T>(string peer, CancellationToken cancellation, Func<Task<T>> call)
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

    public static async IAsyncEnumerable<T> ReadAsync<T>(AsyncServerStreamingCall<T> call, string peer, [EnumeratorCancellation] CancellationToken cancellation)
    {
        while (await RunAsync(peer, cancellation, () => call.ResponseStream.MoveNext(cancellation))) yield return call.ResponseStream.Current;
    }
}
