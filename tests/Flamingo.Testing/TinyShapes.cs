using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using System.Text.Json;

namespace Flamingo.Testing;

/// <summary>
/// A few pictures of colored circles and squares with what they show, as data that training learns by heart within some steps.
/// </summary>
public static class TinyShapes
{
    private const int Size = 64;

    private static readonly (string Name, byte[] Levels)[] Colors =
        [("red", [220, 30, 30]), ("green", [30, 200, 30]), ("blue", [40, 60, 230]), ("yellow", [230, 220, 40])];

    /// <summary>What the pictures show; <see cref="Picture"/> takes an index of it.</summary>
    public static IReadOnlyList<string> Names { get; } =
        [.. Colors.SelectMany(color => new[] { "circle", "square" }.Select(shape => $"a large {color.Name} {shape}"))];

    /// <summary>Writes pictures and <c>examples.jsonl</c>: one picture, and two in every third example.</summary>
    /// <param name="folder">An existing folder.</param>
    /// <param name="described">Whether pictures have descriptions.</param>
    /// <returns>The path of the examples.</returns>
    public static string Examples(string folder, int count = 24, bool described = true)
    {
        WritePictures(folder);
        var lines = Enumerable.Range(0, count).Select(index =>
        {
            int[] pictures = index % 3 == 2 ? [index, (index * 5) + 3] : [index];
            return JsonSerializer.Serialize(new
            {
                segments = pictures.Select(picture => picture % Names.Count).SelectMany(picture => new object[]
                {
                    described ? new { picture = $"{picture}.png", description = Names[picture] } : new { picture = $"{picture}.png" },
                    new { text = "Output:", loss = false },
                    new { text = $"{Names[picture]}<|endofchunk|>" },
                }),
            });
        });
        var file = Path.Combine(folder, "examples.jsonl");
        File.WriteAllText(file, string.Join('\n', lines));
        return file;
    }

    /// <summary>Writes pictures and <c>episodes.jsonl</c>, which asks for the caption of each.</summary>
    /// <returns>The path of the episodes.</returns>
    public static string Episodes(string folder)
    {
        WritePictures(folder);
        var file = Path.Combine(folder, "episodes.jsonl");
        File.WriteAllLines(file, Names.Select((name, picture) => JsonSerializer.Serialize(new
        {
            task = "caption", shots = Array.Empty<object>(), query = new { picture = $"{picture}.png", prompt = "Output:" }, answer = name,
        })));
        return file;
    }

    /// <summary>A picture as PNG.</summary>
    public static byte[] Picture(int index)
    {
        var (levels, isCircle) = (Colors[index / 2].Levels, index % 2 == 0);
        using var rows = new MemoryStream();
        using (var packed = new ZLibStream(rows, CompressionLevel.Fastest, leaveOpen: true))
            for (var y = 0; y < Size; y++)
            {
                packed.WriteByte(0);
                for (var x = 0; x < Size; x++)
                {
                    var (right, down) = (x - (Size / 2), y - (Size / 2));
                    var inside = isCircle ? (right * right) + (down * down) < 480 : Math.Abs(right) < 20 && Math.Abs(down) < 20;
                    packed.Write(inside ? levels : [40, 40, 40]);
                }
            }

        return [0x89, .. "PNG\r\n\x1a\n"u8, .. Chunk("IHDR", [0, 0, 0, Size, 0, 0, 0, Size, 8, 2, 0, 0, 0]),
            .. Chunk("IDAT", rows.ToArray()), .. Chunk("IEND", [])];
    }

    private static void WritePictures(string folder)
    {
        for (var index = 0; index < Names.Count; index++) File.WriteAllBytes(Path.Combine(folder, $"{index}.png"), Picture(index));
    }

    private static byte[] Chunk(string name, byte[] content)
    {
        byte[] covered = [.. Encoding.ASCII.GetBytes(name), .. content];
        var (length, sum) = (new byte[4], new byte[4]);
        BinaryPrimitives.WriteInt32BigEndian(length, content.Length);
        BinaryPrimitives.WriteUInt32BigEndian(sum, Crc(covered));
        return [.. length, .. covered, .. sum];
    }

    private static uint Crc(byte[] bytes)
    {
        var sum = uint.MaxValue;
        foreach (var one in bytes)
        {
            sum ^= one;
            for (var bit = 0; bit < 8; bit++) sum = (sum >> 1) ^ ((sum & 1) * 0xEDB88320);
        }

        return ~sum;
    }
}
