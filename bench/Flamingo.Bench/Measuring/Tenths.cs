using System.Globalization;

namespace Flamingo.Bench.Measuring;

/// <summary>Progress of long work for people: a line whenever another tenth is done.</summary>
internal sealed class Tenths(TextWriter progress, long total)
{
    private long _done, _told;

    public void Add(long amount) => Reach(_done + amount);

    /// <param name="done">Of the total.</param>
    /// <param name="what">Stands behind the percentage.</param>
    public void Reach(long done, object? what = null)
    {
        _done = done;
        if (done * 10 / total <= _told) return;
        _told = done * 10 / total;
        progress.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {10 * _told} %{(what is null ? "" : $", {what}")}"));
    }
}
