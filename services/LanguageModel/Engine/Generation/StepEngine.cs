using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.KvCache;
using Flamingo.LanguageModel.Engine.Pictures;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>
/// Schedule, run, commit: one step whenever it is asked for one. It owns all state and has no thread of its own. Only
/// commit publishes prefixes, emits tokens or ends requests, so that a step that fails leaves nothing half done.
/// </summary>
public sealed class StepEngine
{
    private readonly IModelRunner _runner;
    private readonly EngineLimits _limits;
    private readonly TimeProvider _time;
    private readonly PrefixIndex _index = new();
    private readonly BlockPool _pool;
    private readonly PictureMemory _pictures;
    private readonly PinnedPrefixes _pins;
    private readonly Scheduler _scheduler;
    private readonly Admission _admission;
    private readonly AdmissionQueue<EngineRequest> _queue;
    private readonly List<EngineRequest> _running = [];
    private EngineStatistics _statistics = new(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    private long _endedCachedTokens;
    private double _secondsPerStep = 0.1;
    private double _secondsUntilPlace = 1;

    public StepEngine(IModelRunner runner, EngineLimits limits, TimeProvider time)
    {
        (_runner, _limits, _time) = (runner, limits, time);
        var memory = runner.Memory;
        _pool = new BlockPool(memory.Blocks, _index);
        _pictures = new PictureMemory(memory.PictureSlots);
        _pins = new PinnedPrefixes(_pool, _index, time);
        _scheduler = new Scheduler(_index, memory, new ScheduleLimits(limits.PrefillChunk, limits.PrefillChunkBesideDecoding));
        _admission = new Admission(_pool, _scheduler, _pictures, _pins, memory, limits);
        _queue = new AdmissionQueue<EngineRequest>(limits.MaxQueued);
        Report(0, 0, 0);
    }

    /// <summary>After the last step; from any thread.</summary>
    public EngineStatistics Statistics => Volatile.Read(ref _statistics) with { Waiting = _queue.Count };

    /// <summary>Admitted and not ended, oldest first; safe to read between steps.</summary>
    public IReadOnlyList<EngineRequest> Running => _running;

    /// <summary>Time until a waiting request may find room because a pin has ended; null if none waits for that.</summary>
    public TimeSpan? UntilPinEnds => _queue.Count > 0 ? _pins.NextEnd : null;

    /// <summary>Queues a request; from any thread.</summary>
    /// <exception cref="FlamingoException">InvalidArgument or LatentsMissing; Overloaded, with the time until a place should be free; Unavailable once stopped.</exception>
    public void Submit(EngineRequest request)
    {
        _admission.Check(request);
        _queue.Enqueue(request.Terms.Tenant, request, () => TimeSpan.FromSeconds(Math.Clamp(Volatile.Read(ref _secondsUntilPlace), 0.1, 60)));
    }

    /// <returns>False if there was nothing to compute.</returns>
    public async Task<bool> StepAsync(CancellationToken cancellation)
    {
        LetGoCancelled();
        Admit();
        if (_running.Count == 0)
        {
            Report(0, 0, 0);
            return false;
        }

        var started = _time.GetTimestamp();
        try
        {
            var step = _scheduler.Schedule(_running);
            foreach (var sequence in step.Sequences.Where(sequence => sequence.Request.Started == 0)) sequence.Request.Started = started;
            var batch = step.Batch with { Projections = Projections() };
            Commit(step, await _runner.RunAsync(batch, cancellation));
            Report(1, batch.Chunks.Sum(chunk => chunk.Ids.Count), batch.Projections.Count);
        }
        catch (Exception exception)
        {
            FailAll(cancellation.IsCancellationRequested ? Stopping() : exception);
            Report(1, 0, 0);
        }

        _secondsPerStep += 0.2 * (_time.GetElapsedTime(started).TotalSeconds - _secondsPerStep);
        return true;
    }

    /// <summary>Ends everything that runs or waits, and refuses what comes later.</summary>
    public void Stop()
    {
        FailAll(Stopping());
        foreach (var request in _queue.Close(Stopping)) request.Fail(Stopping());
        Report(0, 0, 0);
    }

    private static FlamingoException Stopping() => new(FlamingoErrorKind.Unavailable, "The language model is stopping.");

    private void LetGoCancelled()
    {
        foreach (var request in _queue.RemoveAll(request => request.IsCancelled)) request.Fail(new OperationCanceledException());
        foreach (var request in _running.Where(request => request.IsCancelled).ToList()) End(request, new OperationCanceledException());
    }

    private void Admit()
    {
        _pins.Expire();
        while (_queue.Peek() is { } next && _running.Sum(request => request.Width) + next.Width <= _limits.MaxSequences)
        {
            try
            {
                if (!_admission.TryAdmit(next)) return;
                _running.Add(next);
            }
            catch (Exception exception)
            {
                next.Fail(exception);
            }

            _queue.Dequeue();
        }
    }

    // what a request was the first to lease is computed before anybody reads it
    private List<Projection> Projections()
    {
        var projections = new List<Projection>();
        foreach (var request in _running.Where(request => !request.PicturesAreProjected))
        {
            request.PicturesAreProjected = true;
            projections.AddRange(request.Pictures!.Fresh.Select(key => new Projection(request.Pictures.Slots[key], request.Prompt.Latents[key])));
        }

        return projections;
    }

    private void Commit(ScheduledStep step, IReadOnlyList<StepOutput> outputs)
    {
        foreach (var ((sequence, chunk), output) in step.Sequences.Zip(step.Batch.Chunks).Zip(outputs))
        {
            var request = sequence.Request;
            if (!_running.Contains(request)) continue; // a neighbour of the same request may have failed
            sequence.Computed += chunk.Ids.Count;
            if (sequence == request.Root) PublishPrefix(request, sequence);
            if (output.Logits.Count == 0 && output.Scores.Count == 0 && output.Best is null) continue;
            try
            {
                request.Accept(sequence, output);
                if (request.IsFinished) End(request, null);
            }
            catch (Exception exception)
            {
                End(request, exception); // one request's logits or text, nobody else's harm
            }
        }
    }

    // Of two blocks with the same content one is kept: so who owns a published block owns all published ones before it,
    // and a block never leaves the cache before those that continue it.
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

            var (name, block) = (request.Chain[request.Published], root.Blocks[request.Published]);
            if (_index.Find(name) is var twin && twin < 0) _index.Publish(name, block);
            else if (twin != block) root.Exchange(request.Published, twin);
        }
    }

    private void End(EngineRequest request, Exception? failure)
    {
        _running.Remove(request);
        _endedCachedTokens += request.CachedTokens;
        request.Release();
        if (request.Terms.PinPrefix is { } duration)
        {
            var prefix = request.Chain.GetRange(0, request.Prompt.Ids.Count / _runner.Memory.BlockTokens);
            if (failure is null) _pins.Keep(prefix, duration);
            else _pins.Withdraw(prefix);
        }

        if (failure is not null) request.Fail(failure);
    }

    private void FailAll(Exception exception)
    {
        var doubtful = _running.SelectMany(request => request.Pictures!.Fresh).ToList(); // perhaps not projected
        foreach (var request in _running.ToList()) End(request, exception);
        foreach (var key in doubtful) _pictures.Forget(key);
    }

    private void Report(int steps, int tokens, int projections)
    {
        // a place is free when the first of those that run has ended; where none runs, those that wait need what is pinned
        var seconds = _running.Count > 0 ? _secondsPerStep * Math.Max(1, _running.Min(request => request.StepsLeft)) : _pins.NextEnd?.TotalSeconds ?? _secondsPerStep;
        Volatile.Write(ref _secondsUntilPlace, seconds);
        var known = _statistics;
        Volatile.Write(ref _statistics, new EngineStatistics(
            _running.Count, 0, _pool.Free, _pool.Leased, _pool.Cached, _pins.Blocks, _pictures.Leased, _pictures.Idle,
            known.Steps + steps, known.ComputedTokens + tokens, _endedCachedTokens, known.Projections + projections, _pool.Evictions));
    }
}
