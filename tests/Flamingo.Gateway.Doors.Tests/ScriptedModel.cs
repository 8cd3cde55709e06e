using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Testing;

namespace Flamingo.Gateway.Doors.Tests;

/// <summary>A model that gives every caller the same answers, and records what it was asked.</summary>
internal sealed class ScriptedModel : IFlamingo, ITasks, ISupportSets, ILatentCacheOperations
{
    public const string PictureId = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(1);
    private static readonly StageTimings Timings = new(Step, 2 * Step, 3 * Step, 4 * Step, 5 * Step, 6 * Step);
    private static readonly ModelDigests Digests = new("v", "r", "l");
    private static readonly CacheUse Cache = new(1, 2, 3, 1, 12.25 * Step);
    private static readonly PicturesResolved Pictures =
        new([new PictureReport(PictureId, PictureSource.Memory) { Cost = Step }], Step, Step, Step) { Cache = Cache };

    private static readonly AnswerFinished Finished = new(FinishReason.Stop, 7, 2, 42, Timings, Digests);

    /// <summary>The last request and its tenant.</summary>
    public (object? Request, string Tenant) Asked { get; private set; }

    /// <summary>Thrown instead of an answer.</summary>
    public Exception? Refuses { get; set; }

    /// <summary>Thrown in the middle of a stream.</summary>
    public Exception? Breaks { get; set; }

    /// <summary>A stream waits for it after its first message.</summary>
    public Task Gate { get; set; } = Task.CompletedTask;

    /// <summary>Completed when a stream has ended because its caller is gone.</summary>
    public TaskCompletionSource Left { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public IAsyncEnumerable<AnswerEvent> GenerateAsync(FlamingoRequest request, CancellationToken cancellation) =>
        StreamAsync(request, request.Tenant, cancellation);

    public IAsyncEnumerable<AnswerEvent> ChatAsync(ChatTask task, CancellationToken cancellation) =>
        StreamAsync(task, task.Tenant, cancellation);

    public Task<TaskAnswer> CaptionAsync(CaptionTask task, CancellationToken cancellation) =>
        Answer(task, task.Prompt.Tenant, new TaskAnswer("a dog", [5, 6], Pictures, Finished));

    public Task<TaskAnswer> AnswerAsync(AnswerTask task, CancellationToken cancellation) =>
        Answer(task, task.Prompt.Tenant, new TaskAnswer("two", [7], Pictures, Finished));

    public Task<Classification> ClassifyAsync(ClassifyTask task, CancellationToken cancellation) =>
        Answer(task, task.Prompt.Tenant, new Classification(
            [new("cat", 1, -0.5), new("dog", 0, -1.5)], new FlamingoRanking([], [], 7, Timings, Digests) { Cache = Cache }));

    public Task<FlamingoRanking> RankAsync(FlamingoRankRequest request, CancellationToken cancellation) =>
        Answer(request, request.Tenant, new FlamingoRanking([], Pictures.Pictures, 7, Timings, Digests) { Cache = Cache });

    public Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request, CancellationToken cancellation) =>
        Answer(request, request.Tenant, new FlamingoEncoding(Pictures.Pictures, [], Timings, Digests) { Cache = Cache });

    public Task<FlamingoModel> GetModelAsync(CancellationToken cancellation) =>
        Answer(null, TenantName.Default, new FlamingoModel(Records.Vision, Records.Resampler, Records.Language));

    public Task<SupportSet> PutAsync(PutSupportSet request, CancellationToken cancellation) =>
        Answer(request, request.Tenant, Set(request.Name));

    public Task<SupportSet> GetAsync(string tenant, string name, CancellationToken cancellation) => Answer(name, tenant, Set(name));

    public Task<IReadOnlyList<SupportSet>> ListAsync(string tenant, CancellationToken cancellation) =>
        Answer<IReadOnlyList<SupportSet>>(null, tenant, [Set("words") with { Examples = [] }]);

    public Task DeleteAsync(string tenant, string name, CancellationToken cancellation) => Answer(name, tenant, true);

    public Task<CacheStatistics> GetStatisticsAsync(CancellationToken cancellation) => Answer(
        null, TenantName.Default, new CacheStatistics(new(1, 2, 3, 4, 5, 6, 7), null, 8, 9, 10, TimeSpan.FromSeconds(11.5)));

    public Task<ClearedCache> ClearAsync(CancellationToken cancellation) => Answer(null, TenantName.Default, new ClearedCache(5, 7));

    private static SupportSet Set(string name) =>
        new(name, 3, DateTimeOffset.UnixEpoch, null, 1, [new(PictureId, "a dog")]);

    private async IAsyncEnumerable<AnswerEvent> StreamAsync(
        object request, string tenant, [EnumeratorCancellation] CancellationToken cancellation)
    {
        Asked = (request, tenant);
        await Task.Yield();
        if (Refuses is not null) throw Refuses;
        yield return Pictures;
        try
        {
            await Gate.WaitAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            Left.TrySetResult();
            throw;
        }

        yield return new AnswerTokens(" a", [5]);
        if (Breaks is not null) throw Breaks;
        yield return new AnswerTokens(" dog", [6]);
        yield return Finished;
    }

    private async Task<T> Answer<T>(object? request, string tenant, T answer)
    {
        Asked = (request, tenant);
        await Task.Yield();
        if (Refuses is not null) throw Refuses;
        return answer;
    }
}
