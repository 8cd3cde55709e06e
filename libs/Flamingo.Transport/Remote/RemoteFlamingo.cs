using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.Transport.Wire;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Remote;

/// <summary>The public service at an address, with the same promise as in one process.</summary>
public sealed class RemoteFlamingo : IFlamingo, ITasks, ISupportSets, ILatentCacheOperations, IDisposable
{
    /// <summary>A server that is just being started is waited for.</summary>
    private static readonly TimeSpan DefaultPatience = TimeSpan.FromSeconds(5);

    private readonly StageChannel _channel;
    private readonly V1.Flamingo.FlamingoClient _client;
    private readonly V1.Tasks.TasksClient _tasks;
    private readonly V1.SupportSets.SupportSetsClient _sets;
    private readonly V1.LatentCache.LatentCacheClient _cache;
    private readonly RemoteCalls _calls;

    /// <param name="address"><c>http://host:port</c>, <c>https://…</c> or <c>dns:///name:port</c>.</param>
    /// <param name="patience">How long a call waits for somebody to listen there; null: 5 s.</param>
    public RemoteFlamingo(string address, TimeSpan? patience = null)
    {
        _channel = StageChannel.Open(address, new RemoteStageOptions(), TimeProvider.System);
        (_client, _tasks) = (new V1.Flamingo.FlamingoClient(_channel.Channel), new V1.Tasks.TasksClient(_channel.Channel));
        (_sets, _cache) = (new V1.SupportSets.SupportSetsClient(_channel.Channel), new V1.LatentCache.LatentCacheClient(_channel.Channel));
        const string Remedy = "Check the address, and that the server runs ('flamingo serve' starts one).";
        _calls = new RemoteCalls(_channel, "The server", patience ?? DefaultPatience, Remedy);
    }

    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(FlamingoRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await foreach (var item in _calls.ReadAsync(null, (headers, token) => _client.Generate(request.ToMessage(), TenantHeader.With(headers, request.Tenant), cancellationToken: token), cancellation)) yield return item.ToRecord();
    }

    public Task<FlamingoRanking> RankAsync(FlamingoRankRequest request, CancellationToken cancellation) => _calls.RunAsync(null, cancellation, async (headers, token) =>
        (await _client.RankAsync(request.ToMessage(), TenantHeader.With(headers, request.Tenant), cancellationToken: token)).ToRecord());

    public Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request, CancellationToken cancellation) => _calls.RunAsync(null, cancellation, async (headers, token) =>
        (await _client.EncodeAsync(request.ToMessage(), TenantHeader.With(headers, request.Tenant), cancellationToken: token)).ToRecord());

    public Task<FlamingoModel> GetModelAsync(CancellationToken cancellation) => _calls.RunAsync(null, cancellation, async (headers, token) =>
        (await _client.GetModelAsync(new V1.GetModelRequest(), headers, cancellationToken: token)).ToRecord());

    public Task<TaskAnswer> CaptionAsync(CaptionTask task, CancellationToken cancellation) => _calls.RunAsync(null, cancellation, async (headers, token) =>
        (await _tasks.CaptionAsync(task.ToMessage(), TenantHeader.With(headers, task.Prompt.Tenant), cancellationToken: token)).ToRecord());

    public Task<TaskAnswer> AnswerAsync(AnswerTask task, CancellationToken cancellation) => _calls.RunAsync(null, cancellation, async (headers, token) =>
        (await _tasks.AnswerAsync(task.ToMessage(), TenantHeader.With(headers, task.Prompt.Tenant), cancellationToken: token)).ToRecord());

    public Task<Classification> ClassifyAsync(ClassifyTask task, CancellationToken cancellation) => _calls.RunAsync(null, cancellation, async (headers, token) =>
        (await _tasks.ClassifyAsync(task.ToMessage(), TenantHeader.With(headers, task.Prompt.Tenant), cancellationToken: token)).ToRecord());

    public async IAsyncEnumerable<AnswerEvent> ChatAsync(ChatTask task, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await foreach (var item in _calls.ReadAsync(null, (headers, token) => _tasks.Chat(task.ToMessage(), TenantHeader.With(headers, task.Tenant), cancellationToken: token), cancellation)) yield return item.ToRecord();
    }

    public Task<SupportSet> PutAsync(PutSupportSet request, CancellationToken cancellation) => _calls.RunAsync(null, cancellation, async (headers, token) =>
        (await _sets.PutAsync(request.ToMessage(), TenantHeader.With(headers, request.Tenant), cancellationToken: token)).ToRecord());

    public Task<SupportSet> GetAsync(string tenant, string name, CancellationToken cancellation) => _calls.RunAsync(null, cancellation, async (headers, token) =>
        (await _sets.GetAsync(new V1.GetSupportSetRequest { Name = name }, TenantHeader.With(headers, tenant), cancellationToken: token)).ToRecord());

    public Task<IReadOnlyList<SupportSet>> ListAsync(string tenant, CancellationToken cancellation) => _calls.RunAsync<IReadOnlyList<SupportSet>>(null, cancellation, async (headers, token) =>
        [.. (await _sets.ListAsync(new V1.ListSupportSetsRequest(), TenantHeader.With(headers, tenant), cancellationToken: token)).Sets.Select(SupportSetWire.ToRecord)]);

    public Task DeleteAsync(string tenant, string name, CancellationToken cancellation) => _calls.RunAsync(null, cancellation, async (headers, token) =>
        await _sets.DeleteAsync(new V1.DeleteSupportSetRequest { Name = name }, TenantHeader.With(headers, tenant), cancellationToken: token));

    public Task<CacheStatistics> GetStatisticsAsync(CancellationToken cancellation) => _calls.RunAsync(null, cancellation, async (headers, token) =>
        (await _cache.GetStatisticsAsync(new V1.GetCacheStatisticsRequest(), headers, cancellationToken: token)).ToRecord());

    public Task<ClearedCache> ClearAsync(CancellationToken cancellation) => _calls.RunAsync(null, cancellation, async (headers, token) =>
    {
        var cleared = await _cache.ClearAsync(new V1.ClearCacheRequest(), headers, cancellationToken: token);
        return new ClearedCache(cleared.RedisEntries, cleared.MemoryEntries);
    });

    public void Dispose() => _channel.Dispose();
}
