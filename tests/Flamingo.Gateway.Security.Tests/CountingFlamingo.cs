using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Testing;

namespace Flamingo.Gateway.Security.Tests;

/// <summary>A gateway whose answers report fixed numbers of tokens, and which records the tenants that it was asked for.</summary>
internal sealed class CountingFlamingo : IFlamingo, ISupportSets, ILatentCacheOperations
{
    public const int PromptTokens = 70, GeneratedTokens = 50;

    private static readonly StageTimings Timings = new(default, default, default, default, default, default);
    private static readonly ModelDigests Digests = new("v", "r", "l");

    public List<string> Tenants { get; } = [];

    /// <summary>Has one count for every call that has arrived.</summary>
    public SemaphoreSlim Entered { get; } = new(0);

    /// <summary>Every call waits for it before it answers.</summary>
    public Task Gate { get; set; } = Task.CompletedTask;

    /// <summary>Whether answers that begin now go on until the caller gives up.</summary>
    public bool IsEndless { get; set; }

    /// <summary>Whether answers report that they used no tokens.</summary>
    public bool IsFree { get; set; }

    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(
        FlamingoRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var isEndless = IsEndless;
        await EnterAsync(request.Tenant);
        yield return new PicturesResolved([], default, default, default);
        do
        {
            cancellation.ThrowIfCancellationRequested();
            yield return new AnswerTokens("x", [.. Enumerable.Range(0, GeneratedTokens)]);
        }
        while (isEndless);

        yield return new AnswerFinished(
            FinishReason.Stop, IsFree ? 0 : PromptTokens, IsFree ? 0 : GeneratedTokens, 0, Timings, Digests);
    }

    public async Task<FlamingoRanking> RankAsync(FlamingoRankRequest request, CancellationToken cancellation)
    {
        await EnterAsync(request.Tenant);
        var candidates = request.Candidates.Select(text => new RankedCandidate(text, [1, 2, 3, 4, 5], [0, 0, 0, 0, 0]));
        return new FlamingoRanking([.. candidates], [], PromptTokens, Timings, Digests);
    }

    public async Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request, CancellationToken cancellation)
    {
        await EnterAsync(request.Tenant);
        return new FlamingoEncoding([], [], Timings, Digests);
    }

    public Task<FlamingoModel> GetModelAsync(CancellationToken cancellation) =>
        Task.FromResult(new FlamingoModel(Records.Vision, Records.Resampler, Records.Language));

    public async Task<SupportSet> PutAsync(PutSupportSet request, CancellationToken cancellation)
    {
        await EnterAsync(request.Tenant);
        return new SupportSet(request.Name, 1, default, null, request.Examples.Count, []);
    }

    public Task<SupportSet> GetAsync(string tenant, string name, CancellationToken cancellation) =>
        Task.FromResult(new SupportSet(name, 1, default, null, 0, []));

    public Task<IReadOnlyList<SupportSet>> ListAsync(string tenant, CancellationToken cancellation) =>
        Task.FromResult<IReadOnlyList<SupportSet>>([]);

    public Task DeleteAsync(string tenant, string name, CancellationToken cancellation) => Task.CompletedTask;

    public Task<CacheStatistics> GetStatisticsAsync(CancellationToken cancellation) =>
        Task.FromResult(new CacheStatistics(new(1, 2, 3, 4, 5, 6, 7), null, 0, 0, 0, default));

    public Task<ClearedCache> ClearAsync(CancellationToken cancellation) => Task.FromResult(new ClearedCache(1, 2));

    private async Task EnterAsync(string tenant)
    {
        lock (Tenants) Tenants.Add(tenant);
        Entered.Release();
        await Gate;
    }
}
