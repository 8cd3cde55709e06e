namespace Flamingo.Bench.Soaking;

/// <summary>Counts the results of all calls. Its members are safe for concurrent use.</summary>
public sealed class SoakLedger
{
    private const int MostTold = 10;
    private readonly Lock _lock = new();
    private readonly List<string> _failures = [];

    /// <summary>Number of complete answers.</summary>
    public int Answers { get; private set; }

    /// <summary>Number of requests that were refused because of overload.</summary>
    public int Refusals { get; private set; }

    /// <summary>Number of refusals with a retry delay.</summary>
    public int RefusalsWithDelay { get; private set; }

    /// <summary>Number of invalid requests that were rejected with the expected error.</summary>
    public int Rejected { get; private set; }

    /// <summary>Number of calls that the caller cancelled.</summary>
    public int Left { get; private set; }

    public int Failures { get; private set; }

    /// <summary>Descriptions of the first failures.</summary>
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
        lock (_lock) return $"{Answers} answers, {Refusals} refused ({RefusalsWithDelay} with delay), {Rejected} rejected, {Left} "
            + $"cancelled, {Failures} failed";
    }
}
