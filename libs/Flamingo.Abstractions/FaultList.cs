using System.Collections;

namespace Flamingo.Abstractions;

/// <summary>
/// Collects the faults of a request. The first <see cref="Most"/> are kept and the others are counted, so that a request with many wrong
/// elements costs no more memory than one with a few.
/// </summary>
public sealed class FaultList : IReadOnlyList<FieldFault>
{
    /// <summary>Most faults that are kept.</summary>
    public const int Most = 16;

    private readonly List<FieldFault> _first = [];

    /// <summary>Number of faults that are kept.</summary>
    public int Count => _first.Count;

    /// <summary>Number of faults that were counted and not kept.</summary>
    public int Further { get; private set; }

    /// <summary>Number of all faults. It grows with every fault; <see cref="Count"/> does not.</summary>
    public int Total => Count + Further;

    public FieldFault this[int index] => _first[index];

    public void Add(FieldFault fault)
    {
        if (_first.Count < Most) _first.Add(fault);
        else Further++;
    }

    /// <summary>Adds the faults of a refusal, those that it only counts included.</summary>
    public void AddAll(FlamingoException refusal)
    {
        foreach (var fault in refusal.Faults) Add(fault);
        Further += refusal.FurtherFaults;
    }

    public IEnumerator<FieldFault> GetEnumerator() => _first.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
