using System.Globalization;

namespace Flamingo.Bench.Machine;

/// <summary>
/// Samples this process's private (anonymous) memory every few milliseconds. Mapped files are not included, because they belong to the
/// page cache. Works only on Linux.
/// </summary>
public sealed class PrivateMemory : IDisposable
{
    private readonly ITimer _timer;
    private readonly long _begin = Read();
    private long _peak;

    public PrivateMemory(TimeProvider time) => _timer = time.CreateTimer(_ => Look(), null, TimeSpan.Zero, TimeSpan.FromMilliseconds(5));

    /// <summary>The maximum in bytes so far, including the memory at the beginning.</summary>
    public long Peak()
    {
        Look();
        return Interlocked.Read(ref _peak);
    }

    /// <summary>The maximum growth in bytes since the beginning.</summary>
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
        return long.Parse(line.AsSpan(8, line.Length - 8 - 2), NumberStyles.AllowLeadingWhite | NumberStyles.AllowTrailingWhite,
            CultureInfo.InvariantCulture) << 10;
    }
}
