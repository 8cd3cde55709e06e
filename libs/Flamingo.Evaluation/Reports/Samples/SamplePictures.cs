namespace Flamingo.Evaluation.Reports.Samples;

/// <summary>The small pictures of a report: each is read once and embedded once, until the bytes for them are spent.</summary>
internal sealed class SamplePictures(ReportOptions options, CancellationToken cancellation)
{
    /// <summary>In place of a picture's number: the file is missing or is no picture.</summary>
    public const int Unreadable = -1;

    /// <summary>In place of a picture's number: there was no room for it.</summary>
    public const int LeftOut = -2;

    private static readonly (byte[] Start, string Type)[] Types =
    [
        ([0xFF, 0xD8, 0xFF], "image/jpeg"), ([0x89, (byte)'P', (byte)'N', (byte)'G'], "image/png"),
        ([.. "GIF8"u8], "image/gif"), ([.. "RIFF"u8], "image/webp"),
    ];

    private readonly Dictionary<string, int> _byFile = [], _byContent = [];
    private long _left = options.PictureBytes;

    /// <summary>Pictures as data URIs.</summary>
    public List<string> All { get; } = [];

    /// <summary>The number of the picture in <see cref="All"/>, or one of the constants.</summary>
    public int Find(string file)
    {
        if (_byFile.TryGetValue(file, out var known)) return known;
        return _byFile[file] = Add(file);
    }

    private int Add(string file)
    {
        if (_left <= 0) return LeftOut;
        cancellation.ThrowIfCancellationRequested();
        if (Read(file) is not { } bytes || Type(bytes) is not { } type) return Unreadable;
        var address = $"data:{type};base64,{Convert.ToBase64String(bytes)}";
        if (_byContent.TryGetValue(address, out var known)) return known;
        if (address.Length > _left)
        {
            _left = 0; // Smaller ones are left out too: which pictures are shown then depends on their order alone.
            return LeftOut;
        }

        _left -= address.Length;
        All.Add(address);
        return _byContent[address] = All.Count - 1;
    }

    // A picture that cannot be decoded must not cost the report, and a decoder's exceptions are not known here.
    private byte[]? Read(string file)
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

    // A type that the bytes themselves show: no file can smuggle in an SVG with scripts.
    private static string? Type(byte[] bytes) => Types.FirstOrDefault(type => bytes.AsSpan().StartsWith(type.Start)).Type;
}
