using System.Globalization;

namespace Flamingo.Bench.Machine;

/// <summary>This process's private (anonymous) memory, looked at every few milliseconds: what mapped files take is the page cache's. Linux.</summary>
public sealed class PrivateMemory : IDisposable
{
    private readonly ITimer _timer;
    private readonly long _begin = Read();
    private long _peak;

    public PrivateMemory(TimeProvider time) => _timer = time.CreateTimer(_ => Look(), null, TimeSpan.Zero, TimeSpan.FromMilliseconds(5));

    /// <summary>Bytes at most so far, those at the beginning included.</summary>
    public long Peak()
    {
        Look();
        return Interlocked.Read(ref _peak);
    }

    /// <summary>Bytes at most above those at the beginning, so far.</summary>
    public long PeakGrowth() => Math.Max(0, Peak() - _begin);

    public void Dispose() => _timer.Dispose();

    private void Look()
    {
        var now = Read();
        for (var peak = Interlocked.Read(ref _peak); now > peak; peak = Interlocked.Read(ref _peak))
            if (Interlocked.CompareExchange(ref _peak, now, peak) == peak) return;
    }

    private static long Read()
    {
        var line = File.ReadLines("/proc/self/status").Single(line => line.StartsWith("RssAnon:", StringComparison.Ordinal));
        return long.Parse(line.AsSpan(8, line.Length - 8 - 2), NumberStyles.AllowLeadingWhite | NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture) << 10;
    }
}
