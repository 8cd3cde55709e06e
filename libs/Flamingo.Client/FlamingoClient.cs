using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Client.Connecting;
using Flamingo.Client.Pictures;
using Flamingo.Wire;
using Grpc.Core;
using Microsoft.Extensions.Logging;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Client;

/// <summary>
/// A client of the public gRPC service. It implements the same interfaces as a model in this process; <see cref="ShortCalls"/>
/// adds short forms of the calls. One client may be used by any number of threads and calls, and it owns its connections. A
/// picture is sent as bytes until the service has acknowledged it, and by its id from then on. If the service has evicted the
/// picture, the client sends the bytes again, so that an eviction never fails a request that has the bytes. Failures are thrown
/// as <see cref="FlamingoException"/>, with the <see cref="RpcException"/> and its details as inner exception.
/// </summary>
public sealed class FlamingoClient : IFlamingo, ITasks, ISupportSets, ILatentCacheOperations, IDisposable
{
    private const int MostHeld = 16_384;

    private readonly GatewayCalls _calls;
    private readonly HeldPictures? _held;
    private readonly ILogger _logger;
    private readonly string _tenant;

    /// <param name="address">For example <c>http://localhost:8080</c>; see <see cref="FlamingoClientOptions.Addresses"/>.</param>
    /// <exception cref="ArgumentException">The address is malformed.</exception>
    public FlamingoClient(string address)
        : this(new FlamingoClientOptions { Addresses = [address] })
    {
    }

    /// <exception cref="ArgumentException">An option is invalid; the message names the option and the remedy.</exception>
    public FlamingoClient(FlamingoClientOptions options)
    {
        if (!TenantName.IsWellFormed(options.Tenant))
            throw new ArgumentException(
                $"'{options.Tenant}' is not a valid tenant name. Give 1 to {TenantName.MostCharacters} characters of A-Z a-z 0-9 . _ -",
                nameof(options));
        (_tenant, Addresses) = (options.Tenant, options.Addresses);
        _logger = options.LoggerFactory.CreateLogger<FlamingoClient>();
        _held = options.SendsPicturesOnce ? new HeldPictures(MostHeld) : null;
        _calls = new GatewayCalls(options, _logger);
    }

    internal IReadOnlyList<string> Addresses { get; }

    /// <summary>
    /// Support sets on the server. A change is never executed twice, because it is not retried once it may have reached a server.
    /// </summary>
    public ISupportSets SupportSets => this;

    /// <summary>Operations for operators on the latent cache of the gateway that answers the call, over all tenants.</summary>
    public ILatentCacheOperations LatentCache => this;

    public IAsyncEnumerable<AnswerEvent> GenerateAsync(FlamingoRequest request, CancellationToken cancellation = default) =>
        StreamAsync(
            Outgoing(request, request.Tenant, RequestPictures.Replace),
            (gateway, outgoing, options) => gateway.Public.Generate(outgoing.ToMessage(), options), cancellation);

    public Task<FlamingoRanking> RankAsync(FlamingoRankRequest request, CancellationToken cancellation = default) =>
        AskAsync(
            Outgoing(request, request.Tenant, RequestPictures.Replace),
            async (gateway, outgoing, options) => (await gateway.Public.RankAsync(outgoing.ToMessage(), options)).ToRecord(),
            ranking => ranking.Pictures, cancellation);

    public Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request, CancellationToken cancellation = default) =>
        AskAsync(
            Outgoing(request, request.Tenant, RequestPictures.Replace),
            async (gateway, outgoing, options) => (await gateway.Public.EncodeAsync(outgoing.ToMessage(), options)).ToRecord(),
            encoding => encoding.Pictures, cancellation);

    public Task<FlamingoModel> GetModelAsync(CancellationToken cancellation = default) =>
        _calls.RunAsync(
            _tenant,
            async (gateway, options) => (await gateway.Public.GetModelAsync(new V1.GetModelRequest(), options)).ToRecord(), cancellation);

    public Task<TaskAnswer> CaptionAsync(CaptionTask task, CancellationToken cancellation = default) =>
        AskAsync(
            Outgoing(task, task.Prompt.Tenant, RequestPictures.Replace),
            async (gateway, outgoing, options) => (await gateway.Tasks.CaptionAsync(outgoing.ToMessage(), options)).ToRecord(),
            answer => answer.Pictures.Pictures, cancellation);

    public Task<TaskAnswer> AnswerAsync(AnswerTask task, CancellationToken cancellation = default) =>
        AskAsync(
            Outgoing(task, task.Prompt.Tenant, RequestPictures.Replace),
            async (gateway, outgoing, options) => (await gateway.Tasks.AnswerAsync(outgoing.ToMessage(), options)).ToRecord(),
            answer => answer.Pictures.Pictures, cancellation);

    public Task<Classification> ClassifyAsync(ClassifyTask task, CancellationToken cancellation = default) =>
        AskAsync(
            Outgoing(task, task.Prompt.Tenant, RequestPictures.Replace),
            async (gateway, outgoing, options) => (await gateway.Tasks.ClassifyAsync(outgoing.ToMessage(), options)).ToRecord(),
            found => found.Ranking.Pictures, cancellation);

    public IAsyncEnumerable<AnswerEvent> ChatAsync(ChatTask task, CancellationToken cancellation = default) =>
        StreamAsync(
            Outgoing(task, task.Tenant, RequestPictures.Replace),
            (gateway, outgoing, options) => gateway.Tasks.Chat(outgoing.ToMessage(), options), cancellation);

    Task<SupportSet> ISupportSets.PutAsync(PutSupportSet request, CancellationToken cancellation) =>
        _calls.RunAsync(
            TenantOf(request.Tenant), async (gateway, options) => (await gateway.Sets.PutAsync(request.ToMessage(), options)).ToRecord(),
            cancellation, once: true);

    Task<SupportSet> ISupportSets.GetAsync(string tenant, string name, CancellationToken cancellation) =>
        _calls.RunAsync(
            TenantOf(tenant),
            async (gateway, options) => (await gateway.Sets.GetAsync(new V1.GetSupportSetRequest { Name = name }, options)).ToRecord(),
            cancellation);

    Task<IReadOnlyList<SupportSet>> ISupportSets.ListAsync(string tenant, CancellationToken cancellation) =>
        _calls.RunAsync<IReadOnlyList<SupportSet>>(
            TenantOf(tenant),
            async (gateway, options) =>
                [.. (await gateway.Sets.ListAsync(new V1.ListSupportSetsRequest(), options)).Sets.Select(SupportSetWire.ToRecord)],
            cancellation);

    Task ISupportSets.DeleteAsync(string tenant, string name, CancellationToken cancellation) =>
        _calls.RunAsync(
            TenantOf(tenant),
            async (gateway, options) => await gateway.Sets.DeleteAsync(new V1.DeleteSupportSetRequest { Name = name }, options),
            cancellation, once: true);

    Task<CacheStatistics> ILatentCacheOperations.GetStatisticsAsync(CancellationToken cancellation) =>
        _calls.RunAsync(
            _tenant,
            async (gateway, options) =>
                (await gateway.Cache.GetStatisticsAsync(new V1.GetCacheStatisticsRequest(), options)).ToRecord(),
            cancellation);

    Task<ClearedCache> ILatentCacheOperations.ClearAsync(CancellationToken cancellation) =>
        _calls.RunAsync(
            _tenant,
            async (gateway, options) => (await gateway.Cache.ClearAsync(new V1.ClearCacheRequest(), options)).ToRecord(), cancellation);

    public void Dispose() => _calls.Dispose();

    private string TenantOf(string requested) => requested == TenantName.Default ? _tenant : requested;

    private OutgoingRequest<T> Outgoing<T>(T request, string tenant, Func<T, Func<FlamingoVisual, FlamingoVisual>, T> replace) =>
        new(request, TenantOf(tenant), replace, _held, _logger);

    private async Task<TResult> AskAsync<TRequest, TResult>(
        OutgoingRequest<TRequest> request, Func<Gateway, TRequest, CallOptions, Task<TResult>> call,
        Func<TResult, IEnumerable<PictureReport>> reports, CancellationToken cancellation)
    {
        var result = await request.SendAsync(outgoing =>
            _calls.RunAsync(request.Tenant, (gateway, options) => call(gateway, outgoing, options), cancellation));
        request.Acknowledge(reports(result));
        return result;
    }

    private async IAsyncEnumerable<AnswerEvent> StreamAsync<TRequest>(
        OutgoingRequest<TRequest> request,
        Func<Gateway, TRequest, CallOptions, AsyncServerStreamingCall<V1.GenerateResponse>> begin,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var stream = await request.SendAsync(outgoing =>
            _calls.BeginAsync(request.Tenant, (gateway, options) => begin(gateway, outgoing, options), cancellation));
        for (var any = stream.HasBegun; any; any = await stream.MoveNextAsync(cancellation))
        {
            var item = stream.Current.ToRecord();
            if (item is PicturesResolved resolved) request.Acknowledge(resolved.Pictures);
            yield return item;
        }
    }
}
