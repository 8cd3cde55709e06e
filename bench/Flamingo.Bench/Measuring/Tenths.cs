using System.Globalization;

namespace Flamingo.Bench.Measuring;

/// <summary>Reports the progress of long work with a line after every tenth.</summary>
internal sealed class Tenths(TextWriter progress, long total)
{
    private long _done, _reported;

    public void Add(long amount) => Reach(_done + amount);

    /// <param name="done">The completed amount, in the unit of the total.</param>
    /// <param name="what">A text that follows the percentage; may be null.</param>
    public void Reach(long done, object? what = null)
    {
        _done = done;
        if (done * 10 / total <= _reported) return;
        _reported = done * 10 / total;
        progress.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {10 * _reported} %{(what is null ? "" : $", {what}")}"));
    }
}
