using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.VisionEncoder.Decoding;
using Flamingo.VisionEncoder.Preprocessing;

namespace Flamingo.VisionEncoder.Execution;

/// <summary>
/// Decodes and resizes pictures to 8-bit levels on threads of its own. Decoded pictures of full size exist only here, and at most
/// one per thread at a time. The calls take turns: a free thread takes one picture of the next call, so that a call with sixty-four
/// pictures does not delay a call with a single one. When a call is cancelled, its pictures that no thread has taken yet are never
/// decoded.
/// </summary>
internal sealed class PictureReader : IDisposable
{
    private readonly IPictureDecoder _decoder;
    private readonly PicturePreprocessor _preprocessor;
    private readonly object _lock = new(); // a Monitor, because the threads wait for pictures
    private readonly LinkedList<Call> _turns = []; // calls with pictures that no thread has taken; the first is served next
    private readonly int _mostLarge;
    private int _large; // large pictures that are being decoded
    private bool _isClosed;

    /// <param name="threads">Number of pictures that are decoded at once.</param>
    public PictureReader(IPictureDecoder decoder, PicturePreprocessor preprocessor, int threads)
    {
        (_decoder, _preprocessor, _mostLarge) = (decoder, preprocessor, Math.Max(1, threads - 1));
        Workers = [.. Enumerable.Range(1, threads).Select(number => new Worker($"decoder {number} of the vision encoder"))];
        foreach (var worker in Workers) new Thread(() => Run(worker)) { IsBackground = true, Name = "decoder" }.Start();
    }

    /// <summary>The threads.</summary>
    public IReadOnlyList<Worker> Workers { get; }

    /// <returns>For each picture the levels of its frames, each u8 [3, size, size].</returns>
    /// <exception cref="FlamingoException">
    /// InvalidArgument, naming every picture or file that is truncated or damaged; Unavailable: the stage is being stopped.
    /// </exception>
    /// <exception cref="OperationCanceledException">The call was cancelled, and none of its pictures is being decoded any more.</exception>
    public async Task<IReadOnlyList<IReadOnlyList<byte[]>>> ReadAsync(IReadOnlyList<PicturePlan> plans, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var call = new Call(plans, cancellation);
        lock (_lock)
        {
            if (_isClosed) throw Closed();
            _turns.AddLast(call);
            Monitor.PulseAll(_lock);
        }

        await using (cancellation.UnsafeRegister((_, token) => Withdraw(call, new OperationCanceledException(token)), null))
            await call.Ended.Task;
        if (call.Failure is not null) throw call.Failure;
        PromptRules.ThrowIfAny([.. call.Faults.SelectMany(fault => fault)]);
        return call.Levels;
    }

    /// <summary>Ends all calls with Unavailable. Pictures that are being decoded are decoded to their end.</summary>
    public void Dispose()
    {
        Call[] calls;
        lock (_lock)
        {
            _isClosed = true;
            calls = [.. _turns];
            Monitor.PulseAll(_lock);
        }

        foreach (var call in calls) Withdraw(call, Closed());
    }

    private static FlamingoException Closed() => new(FlamingoErrorKind.Unavailable, "The stage is being stopped.");

    private void Run(Worker worker)
    {
        while (Take() is var (call, index))
        {
            worker.Begin();
            try
            {
                (call.Levels[index], call.Faults[index]) = Read(call.Plans[index], $"pictures[{index}]", call.Cancellation);
            }
            catch (Exception exception)
            {
                Withdraw(call, exception);
            }

            worker.End();
            lock (_lock)
            {
                call.Running--;
                if (call.Plans[index].IsLarge && _large-- == _mostLarge) Monitor.PulseAll(_lock);
            }

            EndIfDone(call);
        }
    }

    private (Call Call, int Index)? Take()
    {
        lock (_lock)
        {
            // With several threads, one of them decodes no large pictures, so that a small picture never waits for large ones only.
            LinkedListNode<Call>? turn;
            while ((turn = FirstThatMayBegin()) is null)
            {
                if (_isClosed) return null;
                Monitor.Wait(_lock);
            }

            var call = turn.Value;
            _turns.Remove(turn);
            if (call.Taken + 1 < call.Plans.Count) _turns.AddLast(call);
            if (call.Plans[call.Taken].IsLarge) _large++;
            call.Running++;
            return (call, call.Taken++);
        }
    }

    private LinkedListNode<Call>? FirstThatMayBegin()
    {
        var turn = _turns.First;
        while (turn is not null && turn.Value.Plans[turn.Value.Taken].IsLarge && _large >= _mostLarge) turn = turn.Next;
        return turn;
    }

    private void Withdraw(Call call, Exception failure)
    {
        lock (_lock)
        {
            _turns.Remove(call);
            call.Taken = call.Plans.Count;
            call.Failure ??= failure;
        }

        EndIfDone(call);
    }

    private void EndIfDone(Call call)
    {
        lock (_lock)
            if (call.Running > 0 || call.Taken < call.Plans.Count) return;
        call.Ended.TrySetResult();
    }

    private (IReadOnlyList<byte[]> Levels, IReadOnlyList<FieldFault> Faults) Read(
        PicturePlan plan, string field, CancellationToken cancellation)
    {
        var (levels, faults, files) = (new List<byte[]>(plan.Frames.Count), new FaultList(), plan.Picture.Files);
        var pictures = plan.IsAnimation
            ? _decoder.DecodeFrames(files[0], plan.Frames)
            : plan.Frames.Select(frame => _decoder.Decode(files[frame]));
        foreach (var (index, picture) in pictures.Index())
        {
            cancellation.ThrowIfCancellationRequested(); // before the picture is resized
            if (picture is not null) levels.Add(_preprocessor.Levels(picture));
            else faults.Add(
                new(
                    files.Count > 1 ? $"{field}.files[{plan.Frames[index]}]" : field,
                    plan.IsAnimation ? $"Frame {plan.Frames[index]} is truncated or damaged." : "The picture is truncated or damaged.",
                    PictureGate.Formats));
            cancellation.ThrowIfCancellationRequested(); // before the next frame is decoded
        }

        return (levels, faults);
    }

    /// <summary>The pictures of one call. The reader's lock guards its state; each picture's results are set by one thread.</summary>
    private sealed class Call(IReadOnlyList<PicturePlan> plans, CancellationToken cancellation)
    {
        public IReadOnlyList<PicturePlan> Plans { get; } = plans;

        public CancellationToken Cancellation { get; } = cancellation;

        public IReadOnlyList<byte[]>[] Levels { get; } = new IReadOnlyList<byte[]>[plans.Count];

        public IReadOnlyList<FieldFault>[] Faults { get; } = new IReadOnlyList<FieldFault>[plans.Count];

        /// <summary>Number of pictures that threads have taken, or all if the rest is not to be decoded.</summary>
        public int Taken { get; set; }

        /// <summary>Number of pictures that are being decoded.</summary>
        public int Running { get; set; }

        public Exception? Failure { get; set; }

        /// <summary>Completed when no picture is being decoded or waits.</summary>
        public TaskCompletionSource Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
