using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Text;
using Flamingo.Abstractions;

namespace Flamingo.Stages;

/// <summary>
/// Holds the events of one answer between the computation that writes them and the caller that reads them. Its size is bounded,
/// so that a caller who does not read holds little memory: a writer pauses while the buffer is full. A reader that takes nothing
/// for a time although events wait is taken to be gone. Its answer then ends with Aborted, and it gets no later event, so that no
/// answer goes on after a gap.
/// </summary>
/// <param name="longestStall">How long events may wait without any being taken.</param>
/// <param name="option">Name of the option that sets <paramref name="longestStall"/>, for the error message.</param>
public sealed class AnswerBuffer(TimeSpan longestStall, string option, TimeProvider time) : IDisposable
{
    /// <summary>
    /// Size at which the buffer is full, in bytes. The writer goes on when half of it has been read. The last event before the
    /// pause may exceed it.
    /// </summary>
    public const int MostBytes = 256 << 10;

    private const int BytesPerEvent = 128; // an estimate of the objects that hold an event
    private const int BytesPerText = 16; // a reference to the text of a token; the text itself belongs to the tokenizer

    private readonly Lock _lock = new();
    private readonly Queue<(AnswerEvent Event, int Bytes)> _waiting = new();
    private readonly CancellationTokenSource _stalled = new(); // not disposed, because the timer may still use it
    private TaskCompletionSource _changed = New(), _room = New();
    private ITimer? _timer;
    private Exception? _failure;
    private int _bytes, _ticks;
    private bool _completed, _full, _readerWaits;

    /// <summary>
    /// Whether the writer should pause: true from the moment when the buffer is full until half of it has been read.
    /// </summary>
    public bool IsFull => Volatile.Read(ref _full);

    /// <summary>Cancelled when the reader is taken to be gone. The writer should then stop.</summary>
    public CancellationToken Stalled => _stalled.Token;

    /// <summary>Called after <see cref="IsFull"/> has become false, on the reader's thread. Set it before the first event.</summary>
    public Action? HasRoom { get; set; }

    /// <summary>Adds an event. It never blocks. It does nothing after <see cref="Complete"/> or a stall.</summary>
    public void Write(AnswerEvent item)
    {
        lock (_lock)
        {
            if (_completed) return;
            var bytes = BytesOf(item);
            _waiting.Enqueue((item, bytes));
            _bytes += bytes;
            if (_bytes >= MostBytes) _full = true;
            if (_waiting.Count == 1) WatchReader();
            _changed.TrySetResult();
        }
    }

    /// <summary>Ends the answer after the events that are waiting. A second call does nothing.</summary>
    /// <param name="failure">The exception that the reader gets after the last event; null if the answer is complete.</param>
    public void Complete(Exception? failure = null)
    {
        lock (_lock)
        {
            if (_completed) return;
            (_completed, _failure) = (true, failure);
            _changed.TrySetResult();
        }
    }

    /// <summary>Waits until <see cref="IsFull"/> is false.</summary>
    public Task WaitForRoomAsync(CancellationToken cancellation)
    {
        lock (_lock) return _full ? _room.Task.WaitAsync(cancellation) : Task.CompletedTask;
    }

    /// <summary>Returns the events in order. Only one reader may enumerate them, once.</summary>
    /// <exception cref="FlamingoException">
    /// Aborted if the reader took nothing for the longest stall; otherwise the failure that was given to <see cref="Complete"/>.
    /// </exception>
    public async IAsyncEnumerable<AnswerEvent> ReadAllAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            if (TryTake(out var next, out var changed)) yield return next;
            else if (changed is not null) await changed.WaitAsync(cancellation).ConfigureAwait(false);
            else yield break;
        }
    }

    /// <summary>Takes the next event without waiting.</summary>
    /// <param name="changed">If false is returned: completes when there may be more to take; null after the last event.</param>
    /// <exception cref="FlamingoException">As from <see cref="ReadAllAsync"/>.</exception>
    public bool TryTake([NotNullWhen(true)] out AnswerEvent? next, out Task? changed)
    {
        TaskCompletionSource? room = null;
        lock (_lock)
        {
            _readerWaits = false;
            if (_waiting.TryDequeue(out var taken))
            {
                _bytes -= taken.Bytes;
                if (_full && _bytes <= MostBytes / 2) (_full, room, _room) = (false, _room, New());
                WatchReader();
                (next, changed) = (taken.Event, null);
            }
            else if (_completed)
            {
                if (_failure is not null) ExceptionDispatchInfo.Throw(_failure);
                (next, changed) = (null, null);
            }
            else
            {
                _readerWaits = true;
                if (_changed.Task.IsCompleted) _changed = New();
                (next, changed) = (null, _changed.Task);
            }
        }

        if (room is not null)
        {
            room.TrySetResult();
            HasRoom?.Invoke();
        }

        return next is not null;
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _timer?.Dispose();
            _timer = null;
            _completed = true;
            _waiting.Clear();
        }
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static int BytesOf(AnswerEvent item) => BytesPerEvent + (item is AnswerTokens tokens
        ? Encoding.UTF8.GetByteCount(tokens.Text)
            + (sizeof(int) * tokens.Ids.Count)
            + tokens.LogProbabilities.Sum(token => BytesPerEvent + ((8 + BytesPerText) * token.Top.Count))
            + tokens.Attention.Sum(token => (token?.Weights.Bytes.Length ?? 0) + (token?.Map?.Bytes.Length ?? 0))
        : 0);

    // Restarts the time in which the reader must take the next event. Call it under the lock.
    private void WatchReader()
    {
        _ticks = 0;
        _timer ??= time.CreateTimer(_ => Tick(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        var half = _waiting.Count > 0 ? longestStall / 2 : Timeout.InfiniteTimeSpan;
        _timer.Change(half, half);
    }

    // The timer must tick twice, because it ticks once, at once, when the whole process was suspended for longer than the stall.
    private void Tick()
    {
        lock (_lock)
        {
            if (_timer is null || _readerWaits || _waiting.Count == 0 || ++_ticks < 2) return;
            _timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            _waiting.Clear();
            (_bytes, _full, _completed) = (0, false, true);
            _failure = new FlamingoException(
                FlamingoErrorKind.Aborted,
                $"The caller read nothing of the answer for {longestStall.TotalSeconds:0.#} s, so the answer was ended. Read the answer "
                + $"without long pauses, or raise {option}.");
        }

        _stalled.Cancel();
    }
}
