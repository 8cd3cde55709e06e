using System.Formats.Tar;

namespace Flamingo.Training.Data;

/// <summary>
/// Reads the samples of a WebDataset tar. Neighbouring entries whose paths are equal up to the first dot of the name form a sample. Nothing
/// is written to disk, so a hostile path can do no harm; it is refused all the same, because no tool that makes shards writes one.
/// </summary>
internal static class TarShard
{
    private static readonly string[] Pictures = ["jpg", "jpeg", "png", "webp", "gif", "bmp"];

    public static IEnumerable<RawSample> Read(string path, DataOptions options)
    {
        using var file = File.OpenRead(path);
        using var tar = new TarReader(file);
        var sample = new Members("");
        while (true)
        {
            var (entry, damage) = Next(tar, file);
            var (key, extension) = Split(entry?.Name ?? "");
            if (key != sample.Key || entry is null)
            {
                // Of a sample before a damaged header, the other entries may be lost.
                if (sample.Finish(path) is { } finished && (damage is null || finished is not UnreadableSample)) yield return finished;
                sample = new Members(key);
            }

            byte[]? bytes = null;
            if (entry is not null && damage is null)
            {
                if (entry.EntryType is TarEntryType.Directory or TarEntryType.GlobalExtendedAttributes) continue;
                if (Refusal(entry, options) is { } refusal) sample.Refuse(refusal);
                else if (Pictures.Contains(extension) || extension is "txt" or "json") (bytes, damage) = Bytes(entry);
            }

            if (damage is not null) yield return new UnreadableSample(new(BrokenKind.DamagedTar, path, damage));
            if (damage is not null || entry is null) yield break;
            if (bytes is not null) sample.Add(extension, bytes);
        }
    }

    // A reader throws many types of exceptions for damaged headers.
    private static (TarEntry? Entry, string? Damage) Next(TarReader tar, FileStream file)
    {
        try
        {
            var entry = tar.GetNextEntry();
            if (entry is null) return (null, EndsWithZeros(file) ? null : "the mark of its end is missing, so entries may be, too.");
            // The reader has passed over the entry's data; it does not notice that they end too early.
            return (entry, file.Position > file.Length ? Within(entry) : null);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            return (null, $"its next header cannot be read: {exception.Message}");
        }
    }

    private static (string Key, string Extension) Split(string name)
    {
        var dot = name.IndexOf('.', name.LastIndexOf('/') + 1);
        return dot < 0 ? (name, "") : (name[..dot], name[(dot + 1)..].ToLowerInvariant());
    }

    private static string? Refusal(TarEntry entry, DataOptions options) =>
        entry.EntryType is not (TarEntryType.RegularFile or TarEntryType.V7RegularFile or TarEntryType.ContiguousFile)
            ? $"{entry.Name} is no plain file but {entry.EntryType}."
            : entry.Name.StartsWith('/') || entry.Name.Contains('\\') || entry.Name.Split('/').Contains("..")
                ? $"{entry.Name} is a path that leaves its folder."
                : entry.Length > options.MaxEntryBytes
                    ? $"{entry.Name} has {entry.Length} bytes, more than {options.MaxEntryBytes}."
                    : null;

    private static (byte[]? Bytes, string? Damage) Bytes(TarEntry entry)
    {
        var bytes = new byte[entry.Length];
        try
        {
            entry.DataStream?.ReadExactly(bytes);
            return (bytes, null);
        }
        catch (IOException)
        {
            return (null, Within(entry));
        }
    }

    private static string Within(TarEntry entry) => $"it ends within {entry.Name}.";

    private static bool EndsWithZeros(FileStream file)
    {
        Span<byte> last = stackalloc byte[512];
        return file.Length >= last.Length && RandomAccess.Read(file.SafeFileHandle, last, file.Length - last.Length) == last.Length
            && !last.ContainsAnyExcept((byte)0);
    }

    /// <summary>The entries of one sample.</summary>
    private sealed class Members(string key)
    {
        private byte[]? _picture, _text, _json;
        private string? _refusal;
        private bool _any;

        public string Key { get; } = key;

        public void Refuse(string reason)
        {
            (_refusal, _any) = (_refusal ?? reason, true);
        }

        public void Add(string extension, byte[] bytes)
        {
            _any = true;
            if (extension == "txt") _text = bytes;
            else if (extension == "json") _json = bytes;
            else _picture = bytes;
        }

        public RawSample? Finish(string path)
        {
            if (!_any) return null;
            var origin = $"{path}: {Key}";
            RawSample Broken(BrokenKind kind, string cause) => new UnreadableSample(new(kind, origin, cause));
            if (_refusal is not null) return Broken(BrokenKind.RefusedEntry, _refusal);
            if (_picture is { Length: 0 }) return Broken(BrokenKind.NoPictureFile, "the picture has no bytes.");
            if (_picture is not null && _text is not null) return new PairSample(origin, _picture, _text, CaptionIsJson: false);
            if (_picture is not null && _json is not null) return new PairSample(origin, _picture, _json, CaptionIsJson: true);
            if (_picture is not null) return Broken(BrokenKind.MissingPartner, "the picture has no .txt and no .json beside it.");
            return _text is not null
                ? Broken(BrokenKind.MissingPartner, "the text has no picture beside it.")
                : new DocumentSample(origin, _json);
        }
    }
}
