using System.Runtime.CompilerServices;
using Flamingo.Protos.V1;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;

namespace Flamingo.Client;

/// <summary>The public service. One client serves any number of threads and calls; it owns its connection.</summary>
public sealed class FlamingoClient : IDisposable
{
    // as large as the service takes; requests with more pictures send them with EncodeAsync first and then by id
    private const int MostBytes = 1 << 30;

    private readonly GrpcChannel _channel;
    private readonly Protos.V1.Flamingo.FlamingoClient _stub;

    /// <param name="address">For example <c>http://localhost:8080</c>.</param>
    public FlamingoClient(string address)
    {
        _channel = GrpcChannel.ForAddress(address, new GrpcChannelOptions { MaxReceiveMessageSize = MostBytes, MaxSendMessageSize = MostBytes });
        _stub = new Protos.V1.Flamingo.FlamingoClient(_channel);
    }

    /// <summary>Streams the answer: one message of pictures, any number of tokens, one end.</summary>
    /// <exception cref="FlamingoException">While it is read.</exception>
    public IAsyncEnumerable<GenerateResponse> StreamAsync(Prompt prompt, Sampling? sampling = null, CancellationToken cancellation = default) =>
        StreamAsync(new GenerateRequest { Segments = { prompt.Segments }, Sampling = sampling ?? new Sampling() }, cancellation);

    /// <summary>Streams the answer to everything that can be asked: a pinned prefix, attention maps.</summary>
    /// <inheritdoc cref="StreamAsync(Prompt, Sampling?, CancellationToken)"/>
    public async IAsyncEnumerable<GenerateResponse> StreamAsync(GenerateRequest request, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        using var call = _stub.Generate(request, cancellationToken: cancellation);
        while (await RunAsync(() => call.ResponseStream.MoveNext(cancellation), cancellation)) yield return call.ResponseStream.Current;
    }

    /// <summary>The whole answer at once.</summary>
    /// <exception cref="FlamingoException">Any refusal or failure.</exception>
    public Task<Answer> GenerateAsync(Prompt prompt, Sampling? sampling = null, CancellationToken cancellation = default) =>
        Answer.ReadAsync(StreamAsync(prompt, sampling, cancellation));

    /// <inheritdoc cref="GenerateAsync(Prompt, Sampling?, CancellationToken)"/>
    public Task<Answer> GenerateAsync(GenerateRequest request, CancellationToken cancellation = default) => Answer.ReadAsync(StreamAsync(request, cancellation));

    /// <summary>Log-likelihoods of candidate answers, in the order given.</summary>
    public Task<RankResponse> RankAsync(Prompt prompt, IEnumerable<string> candidates, CancellationToken cancellation = default) =>
        RankAsync(new RankRequest { Segments = { prompt.Segments }, Candidates = { candidates } }, cancellation);

    /// <inheritdoc cref="RankAsync(Prompt, IEnumerable{string}, CancellationToken)"/>
    public Task<RankResponse> RankAsync(RankRequest request, CancellationToken cancellation = default) =>
        RunAsync(() => _stub.RankAsync(request, cancellationToken: cancellation).ResponseAsync, cancellation);

    /// <summary>Encodes pictures ahead of time; their ids then stand for them in prompts.</summary>
    /// <param name="includePooled">Whether to return CLIP's pooled embedding of each picture too.</param>
    public Task<EncodeResponse> EncodeAsync(IEnumerable<ReadOnlyMemory<byte>> pictures, bool includePooled = false, CancellationToken cancellation = default)
    {
        var request = new EncodeRequest { IncludePooled = includePooled };
        request.Pictures.AddRange(pictures.Select(picture => new Visual { Picture = UnsafeByteOperations.UnsafeWrap(picture) }));
        return RunAsync(() => _stub.EncodeAsync(request, cancellationToken: cancellation).ResponseAsync, cancellation);
    }

    /// <summary>What serves there: sizes, limits, digests of the weights.</summary>
    public Task<Model> GetModelAsync(CancellationToken cancellation = default) =>
        RunAsync(() => _stub.GetModelAsync(new GetModelRequest(), cancellationToken: cancellation).ResponseAsync, cancellation);

    public void Dispose() => _channel.Dispose();

    private static async Task<T> RunAsync<T>(Func<Task<T>> call, CancellationToken cancellation)
    {
        try
        {
            return await call();
        }
        catch (RpcException exception)
        {
            cancellation.ThrowIfCancellationRequested();
            throw FlamingoException.From(exception);
        }
    }
}
