namespace Flamingo.Evaluation.Datasets.Reading;

/// <summary>A place in a file, as messages name it.</summary>
/// <param name="Line">1-based.</param>
/// <param name="Path">The entry within the line, for example <c>images[17]</c>; many publishers write a whole file as one line.</param>
internal readonly record struct FilePlace(string File, long Line = 0, string Path = "")
{
    public override string ToString() => File + (Line > 0 ? $", line {Line}" : "") + (Path.Length > 0 ? $" ({Path})" : "");
}

/// <summary>The faults that were found in the files of one benchmark: the first ones in full, and the number of the rest.</summary>
internal sealed class FaultReport(string benchmark)
{
    private const int Shown = 10;

    private readonly List<string> _shown = [];
    private long _count;

    public bool Any => _count > 0;

    /// <param name="fault">What is wrong, as a sentence.</param>
    /// <param name="remedy">What to do about it, as a sentence.</param>
    public void Add(FilePlace place, string fault, string remedy)
    {
        if (_count++ < Shown) _shown.Add($"{place}: {fault} {remedy}");
    }

    /// <exception cref="BenchmarkException">There is a fault.</exception>
    public void ThrowIfAny()
    {
        if (_count == 0) return;
        if (_count == 1) throw new BenchmarkException(_shown[0]);
        var rest = _count > Shown ? [$"and {_count - Shown} more."] : Array.Empty<string>();
        throw new BenchmarkException(string.Join("\n  ", [$"The files of {benchmark} have {_count} faults:", .. _shown, .. rest]));
    }
}
