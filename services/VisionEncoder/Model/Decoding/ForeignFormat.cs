using System.Text;

namespace Flamingo.VisionEncoder.Decoding;

/// <summary>
/// A file format that the service does not read. It is recognised by the first bytes of a file, so that an error can name it.
/// </summary>
/// <param name="Name">Name of the format with an article, such as <c>a PDF</c>.</param>
/// <param name="Remedy">Sentence that says what the caller should send instead.</param>
public sealed record ForeignFormat(string Name, string Remedy)
{
    private const int Head = 1024; // Files of text formats may begin with a comment or with blank lines.

    private const string Save = "Convert it to JPEG or PNG.";
    private const string Frames = "Send frames of it as pictures, or a short animated GIF or WebP.";
    private const string Raw = "Send the file's bytes themselves, not a text that stands for them.";

    /// <summary>
    /// Brands of ISO base media files with their formats. Such a file has <c>ftyp</c> at offset 4, its main brand at offset 8 and
    /// compatible brands from offset 16.
    /// </summary>
    private static readonly (string Brands, ForeignFormat Format)[] IsoBrands =
    [
        ("avif avis", new("an AVIF picture", Save)),
        ("heic heix heim heis hevc hevx mif1 msf1", new("a HEIC picture, as iPhones save them", Save)),
        ("crx ", new("a camera's raw file", Save)),
        ("qt  ", new("a QuickTime video", Frames)),
    ];

    private static readonly (int Offset, byte[] Bytes, ForeignFormat Format)[] Signatures =
    [
        (0, [.. "II*\0"u8], new("a TIFF picture or a camera's raw file", Save)),
        (0, [.. "MM\0*"u8], new("a TIFF picture or a camera's raw file", Save)),
        (0, [.. "II+\0"u8], new("a TIFF picture", Save)),
        (0, [.. "MM\0+"u8], new("a TIFF picture", Save)),
        (0, [0, 0, 1, 0], new("an ICO icon", Save)),
        (0, [0, 0, 2, 0], new("a CUR cursor", Save)),
        (4, [.. "JXL "u8], new("a JPEG XL picture", Save)),
        (0, [0xFF, 0x0A], new("a JPEG XL picture", Save)),
        (4, [.. "jP  "u8], new("a JPEG 2000 picture", Save)),
        (0, [0xFF, 0x4F, 0xFF, 0x51], new("a JPEG 2000 picture", Save)),
        (0, [.. "8BPS"u8], new("a Photoshop file", Save)),
        (0, [.. "qoif"u8], new("a QOI picture", Save)),
        (0, [0x76, 0x2F, 0x31, 0x01], new("an OpenEXR picture", Save)),
        (0, [.. "%!PS"u8], new("a PostScript file", "Render it as PNG.")),
        (0, [0x1A, 0x45, 0xDF, 0xA3], new("a Matroska or WebM video", Frames)),
        (8, [.. "AVI "u8], new("an AVI video", Frames)),
        (0, [0, 0, 1, 0xBA], new("an MPEG video", Frames)),
        (0, [0, 0, 1, 0xB3], new("an MPEG video", Frames)),
        (0, [.. "FLV\x01"u8], new("a Flash video", Frames)),
        (0, [.. "PK\x03\x04"u8], new("a ZIP archive", "Unpack it and send the pictures.")),
        (0, [0x1F, 0x8B], new("a file packed with gzip", "Unpack it.")),
        (0, [.. "version https://git-lfs"u8], new("a Git LFS pointer, not the file itself", "Fetch the file with 'git lfs pull'.")),
        (0, [.. "data:image/"u8], new("a data URL", Raw)),
        (0, [.. "iVBORw0KGgo"u8], new("base64 text", Raw)),
        (0, [.. "/9j/"u8], new("base64 text", Raw)),
        (0, [.. "R0lGOD"u8], new("base64 text", Raw)),
        (0, [.. "UklGR"u8], new("base64 text", Raw)),
    ];

    /// <summary>Texts that may occur anywhere in the first kilobyte of a text file, in upper or lower case.</summary>
    private static readonly (string Text, ForeignFormat Format)[] Texts =
    [
        ("%pdf-", new("a PDF", "Render the page as PNG.")),
        ("<svg", new("an SVG drawing", "Render it as PNG.")),
        ("<html", new("a web page", "Send the picture that it shows: the address may have answered with a page.")),
        ("<!doctype html", new("a web page", "Send the picture that it shows: the address may have answered with a page.")),
    ];

    /// <summary>Recognises the format of a file.</summary>
    /// <returns>Null for a format that the service reads, and for an unknown format.</returns>
    public static ForeignFormat? Of(ReadOnlySpan<byte> file)
    {
        if (file.Length >= 12 && file[4..].StartsWith("ftyp"u8)) return OfIso(file);
        foreach (var (offset, bytes, format) in Signatures)
            if (file.Length >= offset && file[offset..].StartsWith(bytes)) return format;
        var head = Encoding.Latin1.GetString(file[..Math.Min(Head, file.Length)]);
        return head.IndexOf('\0') >= 0 && !head.Contains("%PDF-", StringComparison.Ordinal) ? null
            : Texts.FirstOrDefault(text => head.Contains(text.Text, StringComparison.OrdinalIgnoreCase)).Format;
    }

    // An AVIF file may have the main brand mif1 and the compatible brand avif. The order of the table decides, so avif wins.
    private static ForeignFormat OfIso(ReadOnlySpan<byte> file)
    {
        var box = Math.Clamp((file[2] << 8) | file[3], 12, file.Length);
        var brands = Encoding.Latin1.GetString(file[8..box]).Chunk(4).Select(brand => new string(brand)).ToArray();
        bool IsAny(string known) => brands.Any(brand => brand.Length == 4 && known.Contains(brand, StringComparison.Ordinal));
        return IsoBrands.FirstOrDefault(known => IsAny(known.Brands)).Format ?? new ForeignFormat("an MP4 video", Frames);
    }
}
