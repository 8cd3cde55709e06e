using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.Stages;

/// <summary>
/// The gateway is ready while all three stages answer and fit together. Their descriptions are read at most once in
/// <see cref="Freshness"/>, however many health checks ask.
/// </summary>
public sealed class StageReadiness(StageDescriptions descriptions, TimeProvider time) : IReadiness
{
    /// <summary>How long a result is used.</summary>
    public static readonly TimeSpan Freshness = TimeSpan.FromSeconds(3);

    /// <summary>Longest wait for the stages. It is shorter than the deadline of the health probe.</summary>
    public static readonly TimeSpan Timeout = TimeSpan.FromSeconds(4);

    private readonly Lock _lock = new();
    private Task? _probe;
    private long _ended;

    public Task CheckAsync(CancellationToken cancellation)
    {
        lock (_lock)
        {
            var isOld = _probe is { IsCompleted: true } && time.GetElapsedTime(Volatile.Read(ref _ended)) >= Freshness;
            if (_probe is null || isOld) _probe = ProbeAsync();
            return _probe.WaitAsync(cancellation);
        }
    }

    private async Task ProbeAsync()
    {
        using var timeout = new CancellationTokenSource(Timeout, time);
        try
        {
            await descriptions.ProbeAsync(timeout.Token).WaitAsync(timeout.Token);
        }
        catch (OperationCanceledException exception)
        {
            throw new FlamingoException(
                FlamingoErrorKind.Unavailable, $"The stages have not answered within {Timeout.TotalSeconds:0} s.", exception);
        }
        finally
        {
            Volatile.Write(ref _ended, time.GetTimestamp());
        }
    }
}
