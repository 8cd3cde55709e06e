// Pictures by what they show, and the files in which pictures and episodes lie.
using System.Formats.Tar;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

/// <summary>A numbered collection of pictures. Episodes choose from it by scene; the pictures are drawn when all are known.</summary>
/// <param name="name">The folder of the pictures, as episodes name it.</param>
/// <param name="seed">Picture number i is drawn from the seed and i alone.</param>
/// <param name="perScene">How many pictures of a scene there are at least, once it was asked for so often.</param>
internal sealed class Bank(string name, int seed, int perScene)
{
    private readonly List<Scene> _scenes = [];
    private readonly Dictionary<Scene, List<int>> _numbers = [];

    public IReadOnlyList<Scene> Scenes => _scenes;

    public int Add(Scene scene)
    {
        if (!_numbers.TryGetValue(scene, out var numbers)) _numbers[scene] = numbers = [];
        numbers.Add(_scenes.Count);
        _scenes.Add(scene);
        return _scenes.Count - 1;
    }

    /// <summary>The path of some picture of the scene. If there are too few of it, it gets a new one.</summary>
    public string Picture(Scene scene, Random random)
    {
        var numbers = _numbers.GetValueOrDefault(scene);
        var number = numbers is null || numbers.Count < perScene ? Add(scene) : numbers[random.Next(numbers.Count)];
        return Path(number);
    }

    /// <summary>Draws all pictures. Those that an earlier run left in the folder are deleted.</summary>
    public void Write(string parent, int size, int grain)
    {
        var folder = System.IO.Path.Combine(parent, name);
        if (Directory.Exists(folder)) foreach (var old in Directory.GetFiles(folder, "??????.png")) File.Delete(old);
        Directory.CreateDirectory(folder);
        Parallel.For(0, _scenes.Count, number => File.WriteAllBytes(
            System.IO.Path.Combine(parent, Path(number)), Draw.Png(_scenes[number], Seeds.Random(seed, number), size, grain)));
    }

    private string Path(int number) => $"{name}/{number:D6}.png";
}

internal static class Seeds
{
    /// <summary>A source of chance for one part of one run. It is the same one each time, whatever else the run does.</summary>
    public static Random Random(int seed, int part)
    {
        // Seeds that lie side by side would give numbers that resemble each other, so their bits are stirred first.
        var mixed = ((ulong)(uint)seed << 32) | (uint)part;
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
        return new Random((int)((mixed ^ (mixed >> 31)) & 0x7fffffff));
    }
}

internal static class Files
{
    private const int PairsPerShard = 1000;

    // Without it "<|endofchunk|>" would be written as "\u003C|endofchunk|\u003E", which is the same to a program and not to a reader.
    private static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>An episode as <c>flamingo train --data</c> reads it: what is asked costs no loss, answers and their end do.</summary>
    public static string TrainingLine(IReadOnlyList<Turn> episode, Bank bank, Random random) => Line(new
    {
        segments = episode.SelectMany(turn => new object[]
        {
            new { picture = bank.Picture(turn.Scene, random), description = turn.Scene.Description },
            new { text = turn.Prompt, loss = false },
            new { text = turn.Answer + "<|endofchunk|>" },
        }),
    });

    /// <summary>An episode as evaluations read it: the last picture is asked, those before it are shots.</summary>
    public static string EvaluationLine(string task, IReadOnlyList<Turn> episode, Bank bank, Random random)
    {
        string Picture(Turn turn) => System.IO.Path.GetFileName(bank.Picture(turn.Scene, random));
        var shots = episode.SkipLast(1).Select(turn => new { picture = Picture(turn), text = turn.Prompt + turn.Answer }).ToList();
        var query = new { picture = Picture(episode[^1]), prompt = episode[^1].Prompt };
        var answer = episode[^1].Answer;
        return task.StartsWith("naming", StringComparison.Ordinal)
            ? Line(new { task, shots, query, answer, candidates = episode.Select(turn => turn.Answer).Distinct().Order() })
            : Line(new { task, shots, query, answer });
    }

    /// <summary>Writes pictures with their captions as WebDataset tars: NAME.png, and NAME.txt with the same name.</summary>
    /// <returns>The number of tars.</returns>
    public static int WriteShards(string folder, IEnumerable<(byte[] Png, string Caption)> pairs)
    {
        Directory.CreateDirectory(folder);
        var shards = 0;
        foreach (var chunk in pairs.Chunk(PairsPerShard))
        {
            using var tar = new TarWriter(File.Create(System.IO.Path.Combine(folder, $"pairs-{shards:D4}.tar")), TarEntryFormat.Ustar);
            foreach (var (index, (png, caption)) in chunk.Index())
            {
                var name = $"{(shards * PairsPerShard) + index:D7}";
                foreach (var (file, bytes) in new[] { (name + ".png", png), (name + ".txt", Encoding.UTF8.GetBytes(caption)) })
                {
                    // The time is fixed, so that two runs write equal files.
                    tar.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, file)
                    {
                        DataStream = new MemoryStream(bytes), ModificationTime = DateTimeOffset.UnixEpoch,
                    });
                }
            }

            shards++;
        }

        return shards;
    }

    private static string Line(object value) => JsonSerializer.Serialize(value, Json);
}
