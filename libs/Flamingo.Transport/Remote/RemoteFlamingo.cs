using System.Runtime.CompilerServices;
using Flamingo.Stages;
using Flamingo.Transport.Wire;
using Grpc.Net.Client;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Remote;

/// <summary>The public service at an address, with the same promise as in one process.</summary>
public sealed class RemoteFlamingo : IFlamingo, IDisposable
{
    private readonly GrpcChannel _channel;
    private readonly V1.Flamingo.FlamingoClient _client;
    private readonly RemoteCalls _calls;

    /// <param name="address"><c>http://host:port</c>, <c>https://…</c> or <c>dns:///name:port</c>.</param>
    public RemoteFlamingo(string address)
    {
        _channel = StageChannel.Open(address, new RemoteStageOptions());
        _client = new V1.Flamingo.FlamingoClient(_channel);
        _calls = new RemoteCalls(_channel, "The server", TimeSpan.Zero); // who asks by hand wants to know at once that nobody is there
    }

    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(FlamingoRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await foreach (var item in _calls.ReadAsync(() => _client.Generate(request.ToMessage(), cancellationToken: cancellation), cancellation)) yield return item.ToRecord();
    }

    public Task<FlamingoRanking> RankAsync(FlamingoRankRequest request, CancellationToken cancellation) => _calls.RunAsync(cancellation, async () =>
        (await _client.RankAsync(request.ToMessage(), cancellationToken: cancellation)).ToRecord());

    public Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request, CancellationToken cancellation) => _calls.RunAsync(cancellation, async () =>
    {
        var message = new V1.EncodeRequest { IncludePooled = request.IncludePooled };
        message.Pictures.AddRange(request.Pictures.Select(picture => picture.ToByteString()));
        return (await _client.EncodeAsync(message, cancellationToken: cancellation)).ToRecord();
    });

    public Task<FlamingoModel> GetModelAsync(CancellationToken cancellation) => _calls.RunAsync(cancellation, async () =>
        (await _client.GetModelAsync(new V1.GetModelRequest(), cancellationToken: cancellation)).ToRecord());

    public void Dispose() => _channel.Dispose();
}
