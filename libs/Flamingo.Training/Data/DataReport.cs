using Flamingo.Checkpoints;

namespace Flamingo.Training.Data;

/// <summary>Why a sample is broken.</summary>
public enum BrokenKind
{
    /// <summary>A tar ends within an entry, or is none.</summary>
    DamagedTar,

    /// <summary>An entry of a tar is no plain file, is too large, or has a path that leaves its folder.</summary>
    RefusedEntry,

    /// <summary>A picture has no text, or a text no picture.</summary>
    MissingPartner,

    /// <summary>JSON cannot be parsed or has another form.</summary>
    BadJson,

    /// <summary>The base64 of a picture is damaged.</summary>
    BadBase64,

    /// <summary>A document or an example has no pictures.</summary>
    NoPictures,

    /// <summary>A picture file is missing, empty or too large.</summary>
    NoPictureFile,

    /// <summary>A picture cannot be decoded.</summary>
    BadPicture,

    /// <summary>The text is empty, not UTF-8, or holds a picture marker.</summary>
    BadText,

    /// <summary>No token counts in the loss.</summary>
    NothingToLearn,

    /// <summary>An example has more tokens than the limit.</summary>
    TooLong,
}

/// <summary>A broken sample.</summary>
/// <param name="Origin">File and entry or line.</param>
/// <param name="Cause">One sentence.</param>
public sealed record BrokenSample(BrokenKind Kind, string Origin, string Cause);

/// <summary>
/// Counts the samples of a run: those that were read, left out by a rule, and broken. Every sample counts once, however often it is read.
/// Thread-safe.
/// </summary>
public sealed class DataReport(DataOptions options)
{
    private const int MostNamed = 10;

    private readonly Lock _lock = new();
    private readonly SortedDictionary<BrokenKind, long> _broken = [];
    private readonly SortedDictionary<string, long> _leftOut = new(StringComparer.Ordinal);
    private readonly HashSet<string> _origins = new(StringComparer.Ordinal);
    private readonly List<BrokenSample> _first = [];
    private long _read;

    /// <summary>Samples that were read, broken ones included.</summary>
    public long Read => Locked(() => _read);

    /// <summary>Broken samples.</summary>
    public long BrokenTotal => Locked(() => _broken.Values.Sum());

    /// <summary>Broken samples by kind; kinds without any are not listed.</summary>
    public IReadOnlyDictionary<BrokenKind, long> Broken => Locked(() => new SortedDictionary<BrokenKind, long>(_broken));

    /// <summary>Samples that a rule leaves out, by rule. They are not broken.</summary>
    public IReadOnlyDictionary<string, long> LeftOut => Locked(() => new SortedDictionary<string, long>(_leftOut, StringComparer.Ordinal));

    /// <summary>The first broken samples, up to ten.</summary>
    public IReadOnlyList<BrokenSample> First => Locked(() => _first.ToArray());

    /// <summary>Takes each broken sample as it is found. Called under a lock, so it must be short.</summary>
    public Action<BrokenSample>? Found { get; init; }

    public override string ToString()
    {
        lock (_lock)
        {
            var text = $"{_read} samples read, {_broken.Values.Sum()} broken";
            if (_broken.Count > 0) text += $" ({string.Join(", ", _broken.Select(one => $"{one.Value} {Words(one.Key)}"))})";
            if (_leftOut.Count > 0) text += $", left out: {string.Join(", ", _leftOut.Select(one => $"{one.Value} {one.Key}"))}";
            return text;
        }
    }

    /// <summary>Describes a kind in a few words.</summary>
    public static string Words(BrokenKind kind) => kind switch
    {
        BrokenKind.DamagedTar => "damaged tar",
        BrokenKind.RefusedEntry => "refused entry",
        BrokenKind.MissingPartner => "missing partner",
        BrokenKind.BadJson => "broken JSON",
        BrokenKind.BadBase64 => "broken base64",
        BrokenKind.NoPictures => "without pictures",
        BrokenKind.NoPictureFile => "missing picture file",
        BrokenKind.BadPicture => "undecodable picture",
        BrokenKind.BadText => "unusable text",
        BrokenKind.NothingToLearn => "nothing to learn",
        _ => "too long",
    };

    /// <summary>Counts a sample that can be used.</summary>
    internal void Usable()
    {
        lock (_lock) _read++;
    }

    /// <summary>Counts a sample that a rule leaves out.</summary>
    internal void LeaveOut(string rule)
    {
        lock (_lock)
        {
            _read++;
            _leftOut[rule] = _leftOut.GetValueOrDefault(rule) + 1;
        }
    }

    /// <summary>Counts a broken sample, unless its origin is known to be broken.</summary>
    /// <param name="wasRead">Whether the sample has been counted as usable before.</param>
    /// <exception cref="CheckpointException">Too many samples are broken.</exception>
    internal void Break(BrokenSample sample, bool wasRead = false)
    {
        lock (_lock)
        {
            if (!_origins.Add(sample.Origin)) return;
            if (!wasRead) _read++;
            _broken[sample.Kind] = _broken.GetValueOrDefault(sample.Kind) + 1;
            if (_first.Count < MostNamed) _first.Add(sample);
            Found?.Invoke(sample);
            if (_read >= options.BrokenAfter) ThrowIfTooMany();
        }
    }

    /// <summary>Called at the end of a stream's first epoch.</summary>
    /// <exception cref="CheckpointException">Too many samples are broken.</exception>
    internal void EndEpoch()
    {
        lock (_lock) ThrowIfTooMany();
    }

    /// <summary>The first broken samples, one a line.</summary>
    internal string Named() => string.Concat(First.Select(one => $"\n  {one.Origin}: {Words(one.Kind)}: {one.Cause}"));

    private void ThrowIfTooMany()
    {
        if (_broken.Values.Sum() <= options.MostBroken * _read) return;
        throw new CheckpointException($"Too many samples are broken: {this}. At most {options.MostBroken:P0} may be. Repair them, or leave "
            + $"their files out. The first are:{Named()}");
    }

    private T Locked<T>(Func<T> read)
    {
        lock (_lock) return read();
    }
}
