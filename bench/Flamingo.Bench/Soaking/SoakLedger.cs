namespace Flamingo.Bench.Soaking;

/// <summary>How all calls ended; from any thread.</summary>
public sealed class SoakLedger
{
    private const int MostTold = 10;
    private readonly Lock _lock = new();
    private readonly List<string> _failures = [];

    /// <summary>Whole answers.</summary>
    public int Answers { get; private set; }

    /// <summary>Requests refused because there were too many.</summary>
    public int Refusals { get; private set; }

    /// <summary>Refusals that said when to return.</summary>
    public int RefusalsWithDelay { get; private set; }

    /// <summary>Wrong requests that were refused as they must.</summary>
    public int Rejected { get; private set; }

    /// <summary>Callers that went away before the end.</summary>
    public int Left { get; private set; }

    public int Failures { get; private set; }

    /// <summary>The first failures in words.</summary>
    public IReadOnlyList<string> FirstFailures
    {
        get
        {
            lock (_lock) return [.. _failures];
        }
    }

    public void Answer()
    {
        lock (_lock) Answers++;
    }

    public void Refusal(TimeSpan? retryAfter)
    {
        lock (_lock)
        {
            Refusals++;
            if (retryAfter > TimeSpan.Zero) RefusalsWithDelay++;
        }
    }

    public void Rejection()
    {
        lock (_lock) Rejected++;
    }

    public void Leaving()
    {
        lock (_lock) Left++;
    }

    public void Failure(string what)
    {
        lock (_lock)
        {
            Failures++;
            if (_failures.Count < MostTold) _failures.Add(what);
        }
    }

    public override string ToString()
    {
        lock (_lock) return $"{Answers} answers, {Refusals} refused ({RefusalsWithDelay} told when), {Rejected} wrong, {Left} left, {Failures} failed";
    }
}
