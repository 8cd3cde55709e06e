using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Generation;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.LanguageModel.Engine.Tests.Scripted;
using Flamingo.Stages;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.LanguageModel.Engine.Tests.Generation;

/// <summary>Counts of the cases that the schedules exercised, so that no property holds only because a case never occurred.</summary>
internal sealed record Exercise(
    int Answered, int Samples, int Beams, int Rankings, int Cancelled, int BrokenDown, int NotFinite, int NoTokenLeft, int Refused,
    int LatentsMissing, int Pinned, long CachedTokens, long Evictions, int Copies, int MostRunning, int Planned, int Adopted, int Penalised,
    int WithoutRepeats, int LongEnough, int ProbableOnly, int OnlyBest)
{
    public static Exercise None { get; } = new(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}

/// <summary>
/// One random schedule over a tiny engine: requests arrive and are cancelled between steps and during them, steps fail, and time
/// passes. After every step all counts are checked. At the end every answer is compared with the reference.
/// </summary>
internal sealed class RandomSchedule
{
    private readonly Random _random;
    private readonly FakeTimeProvider _time = new();
    private readonly ScriptedRunner _runner;
    private readonly EngineLimits _limits;
    private readonly StepEngine _engine;
    private readonly RandomRequests _requests;
    private readonly List<TrackedRequest> _tracked = [];
    private readonly HashSet<TrackedRequest> _cancelled = [];
    private readonly HashSet<TrackedRequest> _brokenDown = [];
    private Exercise _exercise = Exercise.None;

    public RandomSchedule(int seed)
    {
        _random = new Random(seed);
        _runner =
            new ScriptedRunner(_random.Next(8, 65), _random.Next(2, 5), _random.Next(2, 6)) { BeforeStep = (batch, _) => Meet(batch) };
        _limits = new EngineLimits(_random.Next(2, 12), _random.Next(1, 17), _random.Next(1, 24), _random.Next(1, 12), _random.Next(1, 6));
        _engine = new StepEngine(_runner, _limits, _time, NullLogger.Instance);
        _requests = new RandomRequests(_random, _runner.Memory, _limits, _time);
    }

    public async Task<Exercise> RunAsync()
    {
        for (var arrivals = _random.Next(5, 40); arrivals > 0; arrivals--)
        {
            for (var several = _random.Next(3); several > 0; several--) Submit();
            if (_random.Next(12) == 0) Cancel();
            if (_random.Next(8) == 0) _time.Advance(TimeSpan.FromSeconds(_random.Next(1, 20)));
            await StepAsync();
        }

        for (var steps = 0; _engine.Statistics is { Running: > 0 } or { Waiting: > 0 }; steps++)
        {
            Assert.True(steps < 20_000, "The engine does not finish.");
            Assert.True(await StepAsync() || _engine.Statistics.Waiting == 0, "Requests wait although none runs.");
        }

        _time.Advance(RandomRequests.LongestPin);
        Assert.False(await StepAsync());
        Assert.True(
            _engine.Statistics is { Running: 0, Waiting: 0, LeasedBlocks: 0, LeasedPictures: 0, PinnedBlocks: 0 },
            _engine.Statistics.ToString());
        foreach (var request in _tracked) Judge(request);
        return _exercise with
        {
            CachedTokens = _engine.Statistics.CachedTokens, Evictions = _engine.Statistics.Evictions, Copies = _runner.Copies
        };
    }

    private async Task<bool> StepAsync()
    {
        if (_random.Next(60) == 0) _runner.ChunksUntilFailure = _random.Next(4);
        CheckPlan();
        var worked = await _engine.StepAsync(default);
        Assert.True(_runner.Violation is null, _runner.Violation?.ToString());
        CheckCounts();
        return worked;
    }

    // Planning twice gives the same plan and changes nothing, and the plan is within the limits.
    private void CheckPlan()
    {
        var before = State();
        var (first, second) = (_engine.Plan(), _engine.Plan());
        Assert.Equal(before, State());
        Assert.Equal(Text(first), Text(second));
        Assert.Equal(first.Chunks.Count, first.Chunks.Select(chunk => chunk.Sequence).Distinct().Count());
        Assert.Equal(first.Adoptions.Count, first.Adoptions.Select(adoption => adoption.Sequence).Distinct().Count());
        var prefill = first.Chunks.Where(chunk => chunk.Tokens > 1).Sum(chunk => chunk.Tokens);
        Assert.InRange(prefill, 0, Math.Max(_limits.PrefillChunk, _limits.PrefillChunkBesideDecoding));
        _exercise = _exercise with
        {
            Planned = _exercise.Planned + first.Chunks.Count, Adopted = _exercise.Adopted + first.Adoptions.Count,
        };
    }

    private static List<string> Text(StepPlan plan) =>
    [
        .. plan.Adoptions.Select(adoption => $"{Name(adoption.Sequence)} adopts {string.Join(' ', adoption.Blocks)}"),
        .. plan.Chunks.Select(chunk => $"{Name(chunk.Sequence)} computes {chunk.Tokens}"),
    ];

    private List<string> State() =>
    [
        $"{_engine.Statistics}",
        .. _engine.Running.SelectMany(request => request.Sequences.Append(request.Root!).Distinct().Select(sequence =>
            $"{Name(sequence)}: {sequence.Computed} of {sequence.Ids.Count}, {request.CachedTokens} cached, {request.Started}, "
            + $"{request.PicturesAreProjected}, blocks {string.Join(' ', sequence.Blocks)}")),
    ];

    private static int Name(Sequence sequence) => System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(sequence);

    // While the engine's own task is inside a step, callers submit and cancel requests.
    private Task Meet(ScheduledBatch batch)
    {
        CheckTables(batch);
        _exercise = _exercise with { MostRunning = Math.Max(_exercise.MostRunning, _engine.Running.Count) };
        if (_random.Next(10) == 0) Submit();
        if (_random.Next(20) == 0) Cancel();
        if (_runner.ChunksUntilFailure < batch.Chunks.Count)
            _brokenDown.UnionWith(_tracked.Where(request => _engine.Running.Contains(request.Request)));
        return Task.CompletedTask;
    }

    private void Submit()
    {
        var request = _requests.Next(_tracked);
        var neverFits = _requests.NeverFits(request);
        var (waiting, latents) = (_engine.Statistics.Waiting, request.Prompt.Latents.Count > 0 || request.Prompt.Keys.Count == 0);
        try
        {
            _engine.Submit(request.Request);
            Assert.False(neverFits);
            _tracked.Add(request);
        }
        catch (FlamingoException refusal)
        {
            _exercise = _exercise with { Refused = _exercise.Refused + 1 };
            Assert.Equal(neverFits, refusal.Kind == FlamingoErrorKind.InvalidArgument);
            if (refusal.Kind == FlamingoErrorKind.LatentsMissing) AssertMissing(request, refusal);
            else if (!neverFits)
                Assert.True(
                    refusal.Kind == FlamingoErrorKind.Overloaded && waiting == _limits.MaxQueued && refusal.RetryAfter > TimeSpan.Zero,
                    refusal.ToString());
        }
    }

    private void Cancel()
    {
        if (_tracked.Where(request => !request.HasEnded).ToList() is not { Count: > 0 } open) return;
        var request = open[_random.Next(open.Count)];
        request.Request.Cancel();
        _cancelled.Add(request);
    }

    private void CheckCounts()
    {
        var now = _engine.Statistics;
        Assert.Equal(_runner.Memory.Blocks, now.FreeBlocks + now.LeasedBlocks + now.CachedBlocks);
        Assert.InRange(now.PinnedBlocks, 0, _runner.Memory.Blocks / 2);
        Assert.InRange(_engine.Running.Sum(request => request.Width), 0, _limits.MaxSequences + _limits.PlacesForNewcomers);
        Assert.InRange(now.Waiting, 0, _limits.MaxQueued);
        Assert.Equal(_engine.Running.SelectMany(request => request.Prompt.Keys).Distinct().Count(), now.LeasedPictures);
        Assert.InRange(now.LeasedPictures + now.IdlePictures, 0, _runner.Memory.PictureSlots);
        var named = _engine.Running.SelectMany(Tables).SelectMany(table => table).Distinct().Count();
        Assert.InRange(now.LeasedBlocks, named, named + now.PinnedBlocks);
    }

    // a block that a chunk writes is in the block table of no other sequence
    private void CheckTables(ScheduledBatch batch)
    {
        var owners = _engine.Running.SelectMany(Tables)
            .SelectMany(table => table)
            .GroupBy(block => block)
            .ToDictionary(group => group.Key, group => group.Count());
        foreach (var chunk in batch.Chunks)
            for (var at = chunk.Start / _runner.Memory.BlockTokens; at < chunk.Blocks.Count; at++)
                Assert.Equal(1, owners[chunk.Blocks[at]]);
        Assert.All(_engine.Running, request => Assert.False(request.IsFinished));
    }

    private static IEnumerable<IReadOnlyList<int>> Tables(EngineRequest request) =>
        request.Sequences.Append(request.Root!).Distinct().Select(sequence => sequence.Blocks);

    private void Judge(TrackedRequest request)
    {
        Assert.True(request.HasEnded);
        if (request.Failure is OperationCanceledException && _cancelled.Contains(request))
            _exercise = _exercise with { Cancelled = _exercise.Cancelled + 1 };
        else if (request.Failure is BreakdownException && _brokenDown.Contains(request))
            _exercise = _exercise with { BrokenDown = _exercise.BrokenDown + 1 };
        else if (request.Failure is FlamingoException { Kind: FlamingoErrorKind.LatentsMissing } missing) AssertMissing(request, missing);
        else if (request.Failure is FlamingoException { Kind: FlamingoErrorKind.Overloaded } overloaded)
            Assert.True(overloaded.RetryAfter >= TimeSpan.Zero); // its prefix cannot be pinned, or another tenant's request took its place
        else AssertReference(request);
    }

    private void AssertReference(TrackedRequest request)
    {
        request.AssertAnswersLikeReference();
        if (request.Failure is not null)
        {
            var noToken = request.Failure is FlamingoException { Kind: FlamingoErrorKind.InvalidArgument } ? 1 : 0;
            _exercise = _exercise with
            {
                NotFinite = _exercise.NotFinite + 1 - noToken, NoTokenLeft = _exercise.NoTokenLeft + noToken,
            };
            return;
        }

        Assert.InRange(request.Request.CachedTokens, 0, request.Prompt.Ids.Count - 1); // the last token is always computed
        _exercise = _exercise with
        {
            Answered = _exercise.Answered + 1,
            Samples = _exercise.Samples + (request.Sampling is { Beams: 1, Samples: > 1 } ? 1 : 0),
            Beams = _exercise.Beams + (request.Sampling is { Beams: > 1 } ? 1 : 0),
            Rankings = _exercise.Rankings + (request.Sampling is null ? 1 : 0),
            Pinned = _exercise.Pinned + (request.Request.Terms.PinPrefix is null ? 0 : 1),
            Penalised = _exercise.Penalised + (request.Sampling is { FrequencyPenalty: not 0 } or { PresencePenalty: not 0 } ? 1 : 0),
            WithoutRepeats = _exercise.WithoutRepeats + (request.Sampling is { NoRepeatNgramSize: > 0 } ? 1 : 0),
            LongEnough = _exercise.LongEnough + (request.Sampling is { MinTokens: > 0 } ? 1 : 0),
            ProbableOnly = _exercise.ProbableOnly + (request.Sampling is { MinP: > 0 } ? 1 : 0),
            OnlyBest = _exercise.OnlyBest + (request.Request.WantsOnlyBest ? 1 : 0),
        };
    }

    private void AssertMissing(TrackedRequest request, FlamingoException missing)
    {
        _exercise = _exercise with { LatentsMissing = _exercise.LatentsMissing + 1 };
        Assert.Empty(request.Prompt.Latents);
        Assert.NotEmpty(missing.Missing);
        Assert.Subset(request.Prompt.Keys.ToHashSet(), missing.Missing.ToHashSet());
    }
}
