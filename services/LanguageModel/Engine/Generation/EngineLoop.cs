using Flamingo.LanguageModel.Engine.KvCache;
using Flamingo.LanguageModel.Engine.Pictures;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>
/// Schedule, run, commit, again and again. One task owns all state; callers reach it through the queue and a flag. Only
/// commit publishes prefixes, emits tokens or ends requests, so that a step that fails leaves nothing half done.
/// </summary>
internal sealed class EngineLoop : IAsyncDisposable
{
    private static readonly EngineStatistics Nothing = new(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
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
    private readonly SemaphoreSlim _signal = new(0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _loop;
    private volatile EngineStatistics _statistics = Nothing;
    private long _cachedTokens;
    private double _secondsPerStep = 0.1;
    private double _secondsUntilPlace = 1;

    public EngineLoop(IModelRunner runner, EngineLimits limits, TimeProvider time)
    {
        (_runner, _limits, _time) = (runner, limits, time);
        var memory = runner.Memory;
        _pool = new BlockPool(memory.Blocks, _index);
        _pictures = new PictureMemory(memory.PictureSlots);
        _pins = new PinnedPrefixes(_pool, time);
        _scheduler = new Scheduler(_index, memory, new ScheduleLimits(limits.PrefillChunk, limits.PrefillChunkBesideDecoding));
        _admission = new Admission(_pool, _scheduler, _pictures, _pins, memory);
        _queue = new AdmissionQueue<EngineRequest>(limits.MaxQueued);
        Publish(0, 0, 0);
        _loop = Task.Run(RunAsync);
    }

    public EngineStatistics Statistics => _statistics with { Waiting = _queue.Count };

    /// <exception cref="StageException">InvalidArgument or LatentsMissing; Overloaded, with the time until a running request should have ended.</exception>
    public void Submit(EngineRequest request)
    {
        ObjectDisposedException.ThrowIf(_stop.IsCancellationRequested, this);
        _admission.Check(request);
        _queue.Enqueue(request.Terms.Tenant, request, () => TimeSpan.FromSeconds(Math.Clamp(Volatile.Read(ref _secondsUntilPlace), 0.1, 60)));
        _signal.Release();
        if (_stop.IsCancellationRequested) // the loop may have emptied the queue already
            foreach (var late in _queue.RemoveAll(waiting => waiting == request)) late.Fail(Stopping());
    }

    public void Cancel(EngineRequest request)
    {
        if (request.IsCancelled) return;
        request.Cancel();
        _signal.Release();
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _loop;
    }

    private async Task RunAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            LetGoCancelled();
            Admit();
            var step = _scheduler.Schedule(_running);
            if (step.Sequences.Count == 0)
            {
                Publish(0, 0, 0);
                await WaitAsync();
                continue;
            }

            var projected = Projections();
            var batch = step.Batch with { Projections = projected };
            var started = _time.GetTimestamp();
            foreach (var sequence in step.Sequences.Where(sequence => sequence.Request.Started == 0)) sequence.Request.Started = started;
            try
            {
                Commit(step, await _runner.RunAsync(batch, _stop.Token));
                Publish(1, batch.Chunks.Sum(chunk => chunk.Ids.Count), projected.Count);
            }
            catch (Exception exception)
            {
                FailAll(_stop.IsCancellationRequested ? Stopping() : exception);
            }

            _secondsPerStep += 0.2 * (_time.GetElapsedTime(started).TotalSeconds - _secondsPerStep);
        }

        FailAll(Stopping());
        foreach (var request in _queue.RemoveAll(_ => true)) request.Fail(Stopping());
        Publish(0, 0, 0);
    }

    private static StageException Stopping() => new(StageErrorKind.Unavailable, "The language model is stopping.");

    // a request that waits for pins to end is looked at again when the next one does
    private async Task WaitAsync()
    {
        using var end = new CancellationTokenSource(_queue.Count > 0 && _pins.NextEnd is { } wait ? wait : Timeout.InfiniteTimeSpan, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(end.Token, _stop.Token);
        try
        {
            await _signal.WaitAsync(either.Token);
            while (_signal.Wait(0, CancellationToken.None)) { } // one look serves all signals
        }
        catch (OperationCanceledException)
        {
            // a pin ends, or the engine
        }
    }

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
            catch (StageException exception)
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
            if (request.IsCancelled || !_running.Contains(request)) continue; // a neighbour of the same request may have failed
            sequence.Computed += chunk.Ids.Count;
            PublishPrefix(sequence);
            if (output.Logits.Count == 0 && output.Scores.Count == 0) continue;
            try
            {
                request.Accept(sequence, output);
                if (request.IsFinished) End(request, null);
            }
            catch (StageException exception)
            {
                End(request, exception);
            }
        }
    }

    private void PublishPrefix(Sequence sequence)
    {
        var (request, blockTokens) = (sequence.Request, _runner.Memory.BlockTokens);
        if (sequence != request.Root) return;
        for (; (request.Published + 1) * blockTokens <= sequence.Computed; request.Published++)
        {
            var begin = request.Published * blockTokens;
            if (request.Published == request.Chain.Count)
            {
                if (!request.PublishesAnswer) return;
                var previous = request.Chain.Count > 0 ? request.Chain[^1] : BlockHash.Root(request.Terms.Tenant);
                request.Chain.Add(previous.Next(request.Prompt, [.. sequence.Ids.GetRange(begin, blockTokens)], begin));
            }

            _index.Publish(request.Chain[request.Published], sequence.Blocks[request.Published]);
        }
    }

    private void End(EngineRequest request, Exception? failure)
    {
        _running.Remove(request);
        _cachedTokens += request.CachedTokens;
        request.Release();
        if (failure is null && request.Terms.PinPrefix is { } duration) _pins.Pin(request.Chain.GetRange(0, request.Prompt.Ids.Count / _runner.Memory.BlockTokens), _index, duration);
        if (failure is not null) request.Fail(failure);
    }

    private void FailAll(Exception exception)
    {
        var doubtful = _running.SelectMany(request => request.Pictures!.Fresh).ToList(); // perhaps not projected
        foreach (var request in _running.ToList()) End(request, exception);
        foreach (var key in doubtful) _pictures.Forget(key);
    }

    private void Publish(int steps, int tokens, int projections)
    {
        Volatile.Write(ref _secondsUntilPlace, _secondsPerStep * Math.Max(1, _running.Select(request => request.StepsLeft).DefaultIfEmpty(1).Min()));
        var known = _statistics;
        _statistics = new EngineStatistics(
            _running.Count, 0, _pool.Free, _pool.Leased, _pool.Cached, _pins.Blocks, _pictures.Leased, _pictures.Idle,
            known.Steps + steps, known.ComputedTokens + tokens, _cachedTokens, known.Projections + projections, _pool.Evictions);
    }
}
