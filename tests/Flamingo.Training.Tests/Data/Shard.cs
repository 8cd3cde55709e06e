using System.Formats.Tar;
using System.Text;
using System.Text.Json;
using Flamingo.Training.Data;

namespace Flamingo.Training.Tests.Data;

/// <summary>Writes shards for tests, and reads streams of them.</summary>
internal static class Shard
{
    /// <summary>Bytes that are no picture but are large enough for one of MMC4. Streams do not decode pictures.</summary>
    public static byte[] Picture(int number, int length = 10_001)
    {
        var bytes = new byte[length];
        new Random(number).NextBytes(bytes);
        return bytes;
    }

    public static string Write(string folder, string name, params IEnumerable<(string Name, byte[] Bytes)> entries)
    {
        var path = Path.Combine(folder, name);
        using var tar = new TarWriter(File.Create(path), TarEntryFormat.Ustar);
        foreach (var entry in entries)
            tar.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, entry.Name) { DataStream = new MemoryStream(entry.Bytes) });
        return path;
    }

    public static (string Name, byte[] Bytes) Text(string name, string text) => (name, Encoding.UTF8.GetBytes(text));

    /// <summary>The two entries of a pair.</summary>
    public static (string Name, byte[] Bytes)[] Pair(string name, string caption, int picture = 1) =>
        [($"{name}.png", Picture(picture)), Text($"{name}.txt", caption)];

    /// <summary>A document with pictures of a sentence and a similarity each.</summary>
    public static (string Name, byte[] Bytes) Document(
        string name, IEnumerable<string> sentences, params IEnumerable<(int Picture, int Sentence, double Similarity)> pictures) =>
        Text($"{name}.json", JsonSerializer.Serialize(new
        {
            text_list = sentences,
            image_info = pictures.Select(one => new
            {
                image_base64 = Convert.ToBase64String(Picture(one.Picture)),
                matched_text_index = one.Sentence,
                matched_sim = one.Similarity,
            }),
        }));

    public static string Lines(string folder, string name, params IEnumerable<string> lines)
    {
        var path = Path.Combine(folder, name);
        File.WriteAllText(path, string.Join('\n', lines));
        return path;
    }
}

/// <summary>A stream with what it needs.</summary>
internal sealed class Stream(Models models, string spec, DataOptions options, string family = "shapes", ulong seed = 1)
{
    public DataReport Report { get; } = new(options);

    /// <summary>Reads the next sequences.</summary>
    public List<TrainingSequence> Take(int count, long skip = 0)
    {
        var encoder = new SequenceEncoder(models.DirectoryOf(family).Config, models.TokenizerOf(family), options);
        return [.. new DataStream(DataSpec.Parse(spec), encoder, options, seed, Report)
            .Read(skip, TestContext.Current.CancellationToken).Take(count)];
    }
}
