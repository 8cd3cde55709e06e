namespace Flamingo.Evaluation.Reports.Samples;

/// <summary>
/// The small pictures of a report. Each file is read once and each picture embedded once, in the order in which they were asked for, until
/// the bytes for them are spent.
/// </summary>
internal sealed class SamplePictures
{
    /// <summary>In place of a picture for which there was no room.</summary>
    public const string LeftOut = "";

    private const int ReadAtOnce = 64;

    private static readonly (byte[] Start, string Type)[] Types =
    [
        ([0xFF, 0xD8, 0xFF], "image/jpeg"), ([0x89, (byte)'P', (byte)'N', (byte)'G'], "image/png"),
        ([.. "GIF8"u8], "image/gif"), ([.. "RIFF"u8], "image/webp"),
    ];

    private readonly Dictionary<string, int> _places = [];

    /// <summary>Asks for a picture and returns its place in the list of <see cref="Read"/>.</summary>
    public int Ask(string file)
    {
        if (!_places.TryGetValue(file, out var place)) _places[file] = place = _places.Count;
        return place;
    }

    /// <summary>
    /// Reads what was asked for, on all processors. For each file the list has a data URI; or a number, the place of the same picture
    /// earlier in the list; or <see cref="LeftOut"/>; or null, if the file is missing or is no picture.
    /// </summary>
    public IReadOnlyList<object?> Read(ReportOptions options, CancellationToken cancellation)
    {
        var (read, byAddress, left) = (new List<object?>(_places.Count), new Dictionary<string, int>(), options.PictureBytes);
        foreach (var files in _places.OrderBy(one => one.Value).Select(one => one.Key).Chunk(ReadAtOnce))
        {
            cancellation.ThrowIfCancellationRequested();
            // Once a picture had no room, smaller ones are left out too: which are shown then depends on their order alone.
            IEnumerable<string?> addresses = left > 0
                ? files.AsParallel().AsOrdered().WithCancellation(cancellation).Select(file => Address(file, options))
                : files.Select(string? (_) => LeftOut);
            foreach (var address in addresses)
            {
                if (address is null or LeftOut) read.Add(address);
                else if (byAddress.TryGetValue(address, out var same)) read.Add(same);
                else if (address.Length > left) Add(LeftOut, spent: left);
                else Add(address, spent: address.Length);
            }
        }

        return read;

        void Add(string address, long spent)
        {
            if (address != LeftOut) byAddress[address] = read.Count;
            read.Add(address);
            left -= spent;
        }
    }

    private static string? Address(string file, ReportOptions options) =>
        Bytes(file, options) is { } bytes && Type(bytes) is { } type ? $"data:{type};base64,{Convert.ToBase64String(bytes)}" : null;

    // A picture that cannot be decoded must not cost the report, and a decoder's exceptions are not known here.
    private static byte[]? Bytes(string file, ReportOptions options)
    {
        try
        {
            if (options.Thumbnail is { } thumbnail) return thumbnail(file);
            var info = new FileInfo(file);
            return info.Exists && info.Length <= ReportOptions.LargestUnscaled ? File.ReadAllBytes(file) : null;
        }
        catch (Exception fault) when (fault is not (OperationCanceledException or OutOfMemoryException))
        {
            return null;
        }
    }

    // The type that the bytes themselves show: a file with another ending cannot bring in an SVG, which might have scripts.
    private static string? Type(byte[] bytes) => Types.FirstOrDefault(type => bytes.AsSpan().StartsWith(type.Start)).Type;
}
