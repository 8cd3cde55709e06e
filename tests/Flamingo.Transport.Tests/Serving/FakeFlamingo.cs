using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Testing;

namespace Flamingo.Transport.Tests.Serving;

/// <summary>A gateway that gives every caller the same answers and records its last call.</summary>
internal sealed class FakeFlamingo : IFlamingo, ITasks, ISupportSets, ILatentCacheOperations
{
    public static readonly CacheUse Cache = new(1, 2, 3, 1, TimeSpan.FromMilliseconds(12.25));

    public static readonly SupportSet Words = new("words", 3, DateTimeOffset.UnixEpoch, null, 1, [new("id", "a dog")]);

    public static readonly CacheStatistics Statistics =
        new(new(1, 2, 3, 4, 5, 6, 7), new(true, 1, 2, 3, 4, 5, 6), 8, 9, 10, TimeSpan.FromSeconds(11));

    private static readonly StageTimings Timings = new(default, default, default, default, default, default);
    private static readonly ModelDigests Digests = new("v", "r", "l");

    private int _begun;

    private static TaskAnswer TaskAnswer =>
        new("a dog", [1], new([], default, default, default) { Cache = Cache }, new(FinishReason.Stop, 1, 1, 0, Timings, Digests));

    /// <summary>Method, tenant and request of the last call.</summary>
    public (string Method, string Tenant, object? Request) Asked { get; private set; }

    /// <summary>Every unary call waits for it before it is answered.</summary>
    public Task Gate { get; set; } = Task.CompletedTask;

    /// <summary>Number of unary calls that have begun.</summary>
    public int Begun => _begun;

    /// <summary>Thrown after the pictures were resolved.</summary>
    public FlamingoException? Breaks { get; set; }

    public IAsyncEnumerable<AnswerEvent> GenerateAsync(FlamingoRequest request, CancellationToken cancellation) =>
        StreamAsync("Generate", request.Tenant, request, cancellation);

    public IAsyncEnumerable<AnswerEvent> ChatAsync(ChatTask task, CancellationToken cancellation) =>
        StreamAsync("Chat", task.Tenant, task, cancellation);

    public Task<TaskAnswer> CaptionAsync(CaptionTask task, CancellationToken cancellation) =>
        Answer("Caption", task.Prompt.Tenant, task, TaskAnswer);

    public Task<TaskAnswer> AnswerAsync(AnswerTask task, CancellationToken cancellation) =>
        Answer("Answer", task.Prompt.Tenant, task, TaskAnswer);

    public Task<Classification> ClassifyAsync(ClassifyTask task, CancellationToken cancellation) =>
        Answer("Classify", task.Prompt.Tenant, task,
            new Classification([new("a", 0, -1)], new FlamingoRanking([], [], 1, Timings, Digests) { Cache = Cache }));

    private async IAsyncEnumerable<AnswerEvent> StreamAsync(string method, string tenant, object request,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        Asked = (method, tenant, request);
        await Task.Yield();
        yield return new PicturesResolved([], default, default, default) { Cache = Cache, Shots = new("words", 3, [1, 0]) };
        if (Breaks is not null) throw Breaks;
        yield return new AnswerFinished(FinishReason.Stop, 1, 0, 0, Timings, Digests);
    }

    public Task<FlamingoRanking> RankAsync(FlamingoRankRequest request,
        CancellationToken cancellation) =>
            Answer("Rank", request.Tenant, request, new FlamingoRanking([], [], 1, Timings, Digests) { Cache = Cache });

    public Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request,
        CancellationToken cancellation) =>
            Answer("Encode", request.Tenant, request, new FlamingoEncoding([], [], Timings, Digests) { Cache = Cache });

    public Task<FlamingoModel> GetModelAsync(CancellationToken cancellation) =>
        Task.FromResult(new FlamingoModel(Records.Vision, Records.Resampler, Records.Language));

    public Task<SupportSet> PutAsync(PutSupportSet request, CancellationToken cancellation) =>
        Answer("Put", request.Tenant, request, Words);

    public Task<SupportSet> GetAsync(string tenant, string name,
        CancellationToken cancellation) => name == "words" ? Answer("Get", tenant, name, Words)
        : throw new FlamingoException(FlamingoErrorKind.NotFound, "There is none.")
        {
            Missing = [name], MissingResource = FlamingoException.SupportSet,
        };

    public Task<IReadOnlyList<SupportSet>> ListAsync(string tenant, CancellationToken cancellation) =>
        Answer<IReadOnlyList<SupportSet>>("List", tenant, null, [Words with { Examples = [] }]);

    public Task DeleteAsync(string tenant, string name, CancellationToken cancellation) => Answer("Delete", tenant, name, true);

    public Task<CacheStatistics> GetStatisticsAsync(CancellationToken cancellation) => Task.FromResult(Statistics);

    public Task<ClearedCache> ClearAsync(CancellationToken cancellation) => Task.FromResult(new ClearedCache(5, 7));

    private async Task<T> Answer<T>(string method, string tenant, object? request, T answer)
    {
        Asked = (method, tenant, request);
        Interlocked.Increment(ref _begun);
        await Gate;
        return answer;
    }
}
