using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.KvCache;
using Flamingo.LanguageModel.Engine.Pictures;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;
using Microsoft.Extensions.Logging;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>
/// Runs one step per call. It owns all state of the engine and has no thread of its own. A step has four parts:
/// <list type="number">
/// <item>schedule: decide what to compute, which changes nothing (<see cref="Scheduler.Schedule"/>);</item>
/// <item>apply: lease the blocks that the plan needs (<see cref="StepPlan.Apply"/>);</item>
/// <item>run: the model computes the batch;</item>
/// <item>commit: count tokens as computed, publish prefixes, hand out tokens, end requests.</item>
/// </list>
/// A step that fails ends its requests and returns everything that they leased, so no partial state remains.
/// </summary>
public sealed class StepEngine
{
    // A request that does not fit may be passed so many times.
    private const int MostPasses = 64;

    // Most requests that one round of admission looks at, however many tenants wait.
    private const int MostTried = 64;

    private readonly IModelRunner _runner;
    private readonly EngineLimits _limits;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly PrefixCache _prefixes = new();
    private readonly BlockPool _pool;
    private readonly PictureMemory _pictures;
    private readonly PinnedPrefixes _pins;
    private readonly Scheduler _scheduler;
    private readonly Admission _admission;
    private readonly AdmissionQueue<EngineRequest> _queue;
    private readonly List<EngineRequest> _running = [];
    private readonly EngineMetrics? _metrics;
    private EngineStatistics _statistics = EngineStatistics.None;
    private long _endedCachedTokens;
    private double _secondsPerStep = 0.1;
    private double _secondsUntilPlace = 1;
    private int _refused; // requests since the queue became full

    public StepEngine(IModelRunner runner, EngineLimits limits, TimeProvider time, ILogger log, EngineMetrics? metrics = null)
    {
        (_runner, _limits, _time, _log, _metrics) = (runner, limits, time, log, metrics);
        var memory = runner.Memory;
        _pool = new BlockPool(memory.Blocks, _prefixes);
        _pictures = new PictureMemory(memory.PictureSlots);
        _pins = new PinnedPrefixes(_pool, _prefixes, time);
        _scheduler = new Scheduler(_prefixes, memory, new ScheduleLimits(limits.PrefillChunk, limits.PrefillChunkBesideDecoding));
        _admission = new Admission(_pool, _scheduler, _pictures, _pins, memory, limits);
        _queue = new AdmissionQueue<EngineRequest>(limits.MaxQueued);
        Report(0, 0, 0);
    }

    /// <summary>The state after the last step. Any thread may read it.</summary>
    public EngineStatistics Statistics => Volatile.Read(ref _statistics) with { Waiting = _queue.Count };

    /// <summary>Requests that are admitted and have not ended, oldest first. Read the list only between steps.</summary>
    public IReadOnlyList<EngineRequest> Running => _running;

    /// <summary>Queues a request. Any thread may call it.</summary>
    /// <exception cref="FlamingoException">
    /// InvalidArgument or LatentsMissing; Overloaded, with the expected time until the queue has room (a request that waits fails with it
    /// later, if one of a tenant with fewer waiting requests takes its place); Unavailable after
    /// <see cref="Stop"/>.
    /// </exception>
    public void Submit(EngineRequest request)
    {
        try
        {
            _admission.Check(request);
            if (_queue.Enqueue(request.Terms.Tenant, request, WhenFull) is { } displaced) Refuse(displaced.Request, displaced.Refusal);
        }
        catch (FlamingoException refusal)
        {
            _metrics?.Refused(refusal);
            throw;
        }
    }

    /// <summary>Plans what the next step would compute if it began now, without admitting any request. It changes nothing.</summary>
    public StepPlan Plan() => _scheduler.Schedule([.. _running.Where(request => !request.IsPaused)]);

    /// <returns>False if there was nothing to compute.</returns>
    public async Task<bool> StepAsync(CancellationToken cancellation)
    {
        EndCancelled();
        PauseAndResume();
        Admit();
        if (_running.TrueForAll(request => request.IsPaused))
        {
            Report(0, 0, 0);
            return false;
        }

        var started = _time.GetTimestamp();
        try
        {
            var plan = Plan();
            using var span = EngineSpans.Begin(plan);
            var batch = plan.Apply(_runner.Memory.BlockTokens) with { Projections = Projections() };
            var outputs = await _runner.RunAsync(batch, cancellation);
            Commit(plan, started, outputs);
            var tokens = batch.Chunks.Sum(chunk => chunk.Ids.Count);
            Report(1, tokens, batch.Projections.Count);
            _metrics?.Stepped(batch.Chunks.Count, tokens, _time.GetElapsedTime(started));
        }
        catch (Exception exception)
        {
            if (!cancellation.IsCancellationRequested) _log.StepFailed(exception, _running.Count);
            FailAll(cancellation.IsCancellationRequested ? Stopping() : exception);
            Report(1, 0, 0);
        }

        _secondsPerStep += 0.2 * (_time.GetElapsedTime(started).TotalSeconds - _secondsPerStep);
        return true;
    }

    /// <summary>Ends all running and waiting requests with Unavailable, and refuses every later request.</summary>
    public void Stop()
    {
        var waiting = _queue.Close(Stopping);
        _log.Stopping(_running.Count, waiting.Count);
        FailAll(Stopping());
        foreach (var request in waiting) Refuse(request, Stopping());
        Report(0, 0, 0);
    }

    private static FlamingoException Stopping() => new(FlamingoErrorKind.Unavailable, "The language model is stopping.");

    // Lines of the log that are written within the scope carry the trace of the request.
    private IDisposable? LinesOf(EngineRequest request) => request.Trace.LogScope is { } scope ? _log.BeginScope(scope) : null;

    private void Refuse(EngineRequest request, Exception refusal)
    {
        EngineSpans.Write(request, refusal, _time);
        _metrics?.Refused(refusal);
        request.Fail(refusal);
    }

    // Any thread may call it, under the queue's lock. It logs only the first of a series of refusals.
    private TimeSpan WhenFull()
    {
        if (Interlocked.Increment(ref _refused) == 1) _log.QueueFull(_queue.Count);
        return TimeSpan.FromSeconds(Math.Clamp(Volatile.Read(ref _secondsUntilPlace), 0.1, 60));
    }

    private void EndCancelled()
    {
        foreach (var request in _queue.RemoveAll(request => request.IsCancelled)) request.Fail(new OperationCanceledException());
        foreach (var request in _running.Where(request => request.IsCancelled).ToList()) End(request, new OperationCanceledException());
    }

    // A request whose reader is behind takes part in no step, so that it neither delays others nor fills memory. It goes on, before
    // new requests are admitted, when its reader has caught up.
    private void PauseAndResume()
    {
        foreach (var request in _running)
        {
            if (!request.IsPaused) request.IsPaused = request.WantsPause;
            else if (!request.WantsPause) request.IsPaused = Admission.PlacesTaken(_running) + request.Width > _limits.MaxSequences;
        }
    }

    private void Admit()
    {
        var pinned = _pins.Blocks;
        if (_pins.Expire() is > 0 and var expired) _log.PinsExpired(expired, pinned - _pins.Blocks);
        var yielded = _pins.Yielded;
        while (AdmitRound()) { }
        if (_pins.Yielded > yielded) _log.PinsYielded(_pins.Yielded - yielded);
    }

    // Tries the next request of each tenant. Those that fit may pass others that do not, but each of these only a number of times: then
    // nothing is admitted before it. Passes do not count against a tenant that runs more than its share already.
    private bool AdmitRound()
    {
        var (any, now, waiting, passed) = (false, _time.GetTimestamp(), _queue.Next(MostTried), new List<EngineRequest>());
        var tenants = _running.Select(request => request.Terms.Tenant).Union(waiting.Select(next => next.Tenant)).Count();
        foreach (var (tenant, next) in waiting)
        {
            if (passed.Exists(request => request.Passed >= MostPasses)) break;
            using var lines = LinesOf(next);
            try
            {
                if (!_admission.TryAdmit(next, _running))
                {
                    var own = _running.Where(request => request.Terms.Tenant == tenant).Sum(request => request.Width);
                    if (own * tenants <= _running.Sum(request => request.Width)) passed.Add(next);
                    continue;
                }

                next.LastServed = _running.Where(request => request.Terms.Tenant == tenant).Select(request => request.LastServed)
                    .DefaultIfEmpty(_statistics.Steps).Max();
                _running.Add(next);
                next.Admitted = now;
                _metrics?.Admitted(next);
                foreach (var request in passed) request.Passed++;
                _log.RequestAdmitted(
                    next.Prompt.Ids.Count, next.CachedTokens, next.PictureLease!.Slots.Count, next.PictureLease.Fresh.Count);
            }
            catch (Exception exception)
            {
                if (exception is FlamingoException { Kind: FlamingoErrorKind.Overloaded }) _log.PinRefused(exception.Message);
                Refuse(next, exception);
            }

            any = true;
            _queue.Dequeue(tenant);
            if (Interlocked.Exchange(ref _refused, 0) is > 0 and var refused) _log.QueueHasRoom(refused);
        }

        return any;
    }

    // Pictures for which a request was the first to lease a slot are projected before anything reads the slot.
    private List<Projection> Projections() =>
    [
        .. from request in _running
           where !request.PicturesAreProjected
           from key in request.PictureLease!.Fresh
           select new Projection(request.PictureLease!.Slots[key], request.Prompt.Latents[key]),
    ];

    private void Commit(StepPlan plan, long started, IReadOnlyList<StepOutput> outputs)
    {
        var now = _time.GetTimestamp();
        foreach (var request in _running) request.PicturesAreProjected = true;
        foreach (var ((sequence, tokens), output) in plan.Chunks.Zip(outputs))
        {
            var request = sequence.Request;
            if (!_running.Contains(request)) continue; // another sequence of the same request may have failed
            if (request.Started == 0) request.Started = started;
            var decoding = Scheduler.IsDecoding(sequence);
            sequence.Computed += tokens;
            // A turn is a whole block: a request in the middle of one keeps its turn.
            if (!decoding && (sequence.Computed % _runner.Memory.BlockTokens == 0 || sequence.Uncomputed == 0))
                request.LastServed = _statistics.Steps + 1;
            if (sequence == request.Root) PublishPrefix(request, sequence);
            if (output.Logits.Count == 0 && output.Scores.Count == 0 && output.Best is null) continue;
            try
            {
                _metrics?.Accepted(request, sequence, now);
                request.Accept(sequence, output);
                if (request.IsFinished) End(request, null);
            }
            catch (Exception exception)
            {
                using var lines = LinesOf(request);
                if (exception is FlamingoException { Kind: FlamingoErrorKind.InvalidArgument }) _log.NoTokenLeft(exception.Message);
                else _log.RequestFailed(exception.Message);
                End(request, exception); // for example logits that are not finite; the other requests continue
            }
        }
    }

    // Publishes the blocks of a prompt whose tokens are all computed, by the rules that PrefixCache documents.
    private void PublishPrefix(EngineRequest request, Sequence root)
    {
        var blockTokens = _runner.Memory.BlockTokens;
        for (; (request.Published + 1) * blockTokens <= root.Computed; request.Published++)
        {
            if (request.Published == request.Chain.Count)
            {
                if (!request.PublishesAnswer) return;
                var previous = request.Chain.Count > 0 ? request.Chain[^1] : BlockHash.Root(request.Terms.Tenant);
                var begin = request.Published * blockTokens;
                request.Chain.Add(previous.Next(request.Prompt, [.. root.Ids.GetRange(begin, blockTokens)], begin));
            }

            var block = root.Blocks[request.Published];
            var kept = _prefixes.Publish(request.Chain[request.Published], block);
            if (kept != block) root.Exchange(request.Published, kept);
        }
    }

    private void End(EngineRequest request, Exception? failure)
    {
        _running.Remove(request);
        _metrics?.Ended(request, failure);
        EngineSpans.Write(request, failure, _time);
        using var lines = LinesOf(request);
        _endedCachedTokens += request.CachedTokens;
        request.Release();
        if (request.Terms.PinPrefix is { } duration)
        {
            var prefix = request.Chain.GetRange(0, request.Prompt.Ids.Count / _runner.Memory.BlockTokens);
            if (failure is null) _pins.Keep(prefix, duration);
            else _pins.Withdraw(prefix);
            if (failure is null) _log.PrefixPinned(prefix.Count, duration);
        }

        var milliseconds = _time.GetElapsedTime(request.Terms.Arrived).TotalMilliseconds;
        if (failure is null) _log.RequestFinished(milliseconds, request.Prompt.Ids.Count, request.CachedTokens);
        else if (failure is OperationCanceledException) _log.RequestCancelled(request.Prompt.Ids.Count, milliseconds);
        if (failure is not null) request.Fail(failure);
    }

    private void FailAll(Exception exception)
    {
        var unwritten = _running.SelectMany(request => request.PictureLease!.Fresh).ToList(); // their slots may not have been written
        foreach (var request in _running.ToList()) End(request, exception);
        foreach (var key in unwritten) _pictures.Forget(key);
    }

    private void Report(int steps, int tokens, int projections)
    {
        // A waiting request can be admitted when the first running request has ended.
        var seconds = _secondsPerStep * Math.Max(1, _running.Select(request => request.StepsLeft).DefaultIfEmpty().Min());
        Volatile.Write(ref _secondsUntilPlace, seconds);
        var known = _statistics;
        Volatile.Write(ref _statistics, new EngineStatistics(
            _running.Count, 0, _pool.Free, _pool.Leased, _pool.Cached, _pins.Blocks, _pictures.Leased, _pictures.Idle,
            known.Steps + steps, known.ComputedTokens + tokens, _endedCachedTokens, known.Projections + projections, _pool.Evictions));
    }
}
