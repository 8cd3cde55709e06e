using System.Runtime.CompilerServices;
using Flamingo.Stages;
using Flamingo.Transport.Wire;
using Grpc.Net.Client;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Remote;

/// <summary>The public service at an address, with the same promise as in one process.</summary>
public sealed class RemoteFlamingo : IFlamingo, IDisposable
{
    private const string Peer = "The server";
    private readonly GrpcChannel _channel;
    private readonly V1.Flamingo.FlamingoClient _client;

    /// <param name="address"><c>http://host:port</c>, <c>https://…</c> or <c>dns:///name:port</c>.</param>
    public RemoteFlamingo(string address)
    {
        _channel = StageChannel.Open(address, new RemoteStageOptions());
        _client = new V1.Flamingo.FlamingoClient(_channel);
    }

    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(FlamingoRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var call = _client.Generate(request.ToMessage(), cancellationToken: cancellation);
        await foreach (var item in RemoteCall.ReadAsync(call, Peer, cancellation)) yield return item.ToRecord();
    }

    public Task<FlamingoRanking> RankAsync(FlamingoRankRequest request, CancellationToken cancellation) => RemoteCall.RunAsync(Peer, cancellation, async () =>
        (await _client.RankAsync(request.ToMessage(), cancellationToken: cancellation)).ToRecord());

    public Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request, CancellationToken cancellation) => RemoteCall.RunAsync(Peer, cancellation, async () =>
    {
        var message = new V1.EncodeRequest { IncludePooled = request.IncludePooled };
        message.Pictures.AddRange(request.Pictures.Select(picture => picture.ToByteString()));
        return (await _client.EncodeAsync(message, cancellationToken: cancellation)).ToRecord();
    });

    public Task<FlamingoModel> GetModelAsync(CancellationToken cancellation) => RemoteCall.RunAsync(Peer, cancellation, async () =>
        (await _client.GetModelAsync(new V1.GetModelRequest(), cancellationToken: cancellation)).ToRecord());

    public void Dispose() => _channel.Dispose();
}
