using Flamingo.Abstractions;

namespace Flamingo.Cli.Evaluating;

/// <summary>Says that a run stands still because the server cannot be reached: once a minute, not once for each waiting request.</summary>
internal sealed class WaitingNotice(TextWriter error, TimeProvider time)
{
    private static readonly TimeSpan Pause = TimeSpan.FromMinutes(1);

    private readonly Lock _lock = new();
    private long? _told;

    /// <summary>Called before each wait of a <see cref="Evaluation.Sending.RequestSender"/>.</summary>
    public void Tell(FlamingoException refusal, TimeSpan wait)
    {
        if (refusal.Kind != FlamingoErrorKind.Unavailable) return;
        lock (_lock)
        {
            if (_told is { } told && time.GetElapsedTime(told) < Pause) return;
            _told = time.GetTimestamp();
        }

        error.WriteLine($"flamingo: waiting for the server, and asking again: {refusal.Message}");
    }
}
