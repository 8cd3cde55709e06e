using System.Runtime.CompilerServices;
using Flamingo.Stages;
using Flamingo.Transport.Wire;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Remote;

/// <summary>The public service at an address, with the same promise as in one process.</summary>
public sealed class RemoteFlamingo : IFlamingo, IDisposable
{
    private readonly StageChannel _channel;
    private readonly V1.Flamingo.FlamingoClient _client;
    private readonly RemoteCalls _calls;

    /// <param name="address"><c>http://host:port</c>, <c>https://…</c> or <c>dns:///name:port</c>.</param>
    public RemoteFlamingo(string address)
    {
        _channel = StageChannel.Open(address, new RemoteStageOptions(), TimeProvider.System);
        _client = new V1.Flamingo.FlamingoClient(_channel.Channel);
        _calls = new RemoteCalls(_channel, "The server", TimeSpan.Zero); // who asks by hand wants to know at once that nobody is there
    }

    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(FlamingoRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await foreach (var item in _calls.ReadAsync(null, headers => _client.Generate(request.ToMessage(), headers, cancellationToken: cancellation), cancellation)) yield return item.ToRecord();
    }

    public Task<FlamingoRanking> RankAsync(FlamingoRankRequest request, CancellationToken cancellation) => _calls.RunAsync(null, cancellation, async headers =>
        (await _client.RankAsync(request.ToMessage(), headers, cancellationToken: cancellation)).ToRecord());

    public Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request, CancellationToken cancellation) => _calls.RunAsync(null, cancellation, async headers =>
    {
        var message = new V1.EncodeRequest { IncludePooled = request.IncludePooled };
        message.Pictures.AddRange(request.Pictures.Select(picture => picture.ToByteString()));
        return (await _client.EncodeAsync(message, headers, cancellationToken: cancellation)).ToRecord();
    });

    public Task<FlamingoModel> GetModelAsync(CancellationToken cancellation) => _calls.RunAsync(null, cancellation, async headers =>
        (await _client.GetModelAsync(new V1.GetModelRequest(), headers, cancellationToken: cancellation)).ToRecord());

    public void Dispose() => _channel.Dispose();
}
