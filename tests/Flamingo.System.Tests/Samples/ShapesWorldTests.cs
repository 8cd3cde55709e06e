using System.Formats.Tar;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Flamingo.Fixtures.Reference;
using Flamingo.SystemTests.Episodes;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Samples;

/// <summary>
/// The data of samples/shapes-world: well formed, repeatable, and without anything that the shipped model is measured with.
/// </summary>
public sealed partial class ShapesWorldTests(ShapesWorldTests.Written world) : IClassFixture<ShapesWorldTests.Written>
{
    // No training picture shows one of these.
    private static readonly string[] HeldOut =
        ["red star", "blue heart", "green ring", "yellow cross", "pink square", "white triangle", "cyan hexagon", "brown circle"];

    private static IReadOnlySet<string> EvaluationWords { get; } = WordsOf(
        File.ReadAllText(Episode.Evaluation("episodes.jsonl")) + File.ReadAllText(Episode.Evaluation("retrieval.json")));

    [Fact]
    public void The_reserved_words_are_those_of_the_evaluation()
    {
        var listed = File.ReadAllText(RepositoryFiles.Path("samples", "shapes-world", "evaluation-words.txt"))
            .Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(EvaluationWords.Order(), listed.Order());
    }

    [Fact]
    public void Nothing_of_the_evaluation_is_trained_on()
    {
        var words = WordsOf(string.Join('\n', world.TrainingText));
        Assert.Equal(48, words.Count); // all of those that are left for training
        Assert.Empty(words.Intersect(EvaluationWords));

        static string Digest(byte[] bytes) => Convert.ToHexString(SHA256.HashData(bytes));
        var evaluation = Directory.GetFiles(Episode.Evaluation("pictures")).Select(file => Digest(File.ReadAllBytes(file))).ToHashSet();
        var pictures = Directory.GetFiles(world.Folder, "*.png", SearchOption.AllDirectories).Select(File.ReadAllBytes)
            .Concat(world.Pairs.Values.Select(pair => pair[".png"])).Select(Digest).ToList();
        Assert.True(pictures.Count > 1500, $"{pictures.Count} pictures");
        Assert.DoesNotContain(pictures, evaluation.Contains);
        Assert.Equal(pictures.Count, pictures.Distinct().Count());
    }

    [Fact]
    public void No_training_picture_shows_a_pair_that_is_held_out_and_no_description_begins_with_the_right_or_lower_thing()
    {
        var descriptions = world.Episodes.SelectMany(episode => episode).Where(segment => segment.Description is not null)
            .Select(segment => segment.Description!)
            .Concat(world.Pairs.Values.Select(pair => Encoding.UTF8.GetString(pair[".txt"]))).ToList();
        Assert.Contains("a large red circle", descriptions);
        Assert.All(descriptions, description =>
        {
            Assert.DoesNotContain(HeldOut, pair => description.Contains(pair, StringComparison.Ordinal));
            Assert.DoesNotMatch("right of|below", description);
        });
    }

    [Fact]
    public void An_episode_is_pictures_prompts_without_loss_and_answers()
    {
        Assert.Equal(300 + 30, world.Episodes.Count);
        Assert.All(world.Episodes, episode => Assert.All(episode.Chunk(3), turn =>
        {
            Assert.True(turn is [{ Picture: not null, Description: not null }, { Loss: false }, { Loss: null }]);
            Assert.True(File.Exists(turn[0].Picture), turn[0].Picture);
            Assert.Matches("^(Output:|This is a|First[.]|Question:.+[?] Short answer:)$", turn[1].Text);
            Assert.EndsWith("<|endofchunk|>", turn[2].Text, StringComparison.Ordinal);
            if (turn[1].Text == "Output:") Assert.Equal(turn[0].Description + "<|endofchunk|>", turn[2].Text);
        }));
        var prompts = world.Episodes.Select(episode => episode[^2].Text![..6]).CountBy(start => start).ToDictionary();
        Assert.Equal(["First.", "Output", "Questi", "This i"], prompts.Keys.Append("First.").Order());
    }

    [Fact]
    public void Pairs_lie_in_tars_under_one_name()
    {
        Assert.Equal(1100, world.Pairs.Count);
        Assert.Equal(2, Directory.GetFiles(world.Path("shards")).Length);
        Assert.All(world.Pairs.Values, pair => Assert.Equal([".png", ".txt"], pair.Keys.Order()));
    }

    [Fact]
    public void An_evaluation_asks_what_the_references_asks_with_other_words_and_pictures()
    {
        var evaluation = new ShapesEvaluation(world.Path("evaluation"));
        static Dictionary<(string Task, int Shots), int> Counts(IEnumerable<EvaluationEpisode> episodes) =>
            episodes.CountBy(episode => (episode.Task, episode.Shots.Count)).ToDictionary();
        Assert.Equal(Counts(Episode.All), Counts(evaluation.Episodes));
        Assert.All(evaluation.Episodes, episode =>
        {
            Assert.NotEmpty(evaluation.Segments(episode, episode.Shots.Count)); // reads the pictures
            if (!episode.Task.StartsWith("naming", StringComparison.Ordinal)) return;
            Assert.Contains(episode.Shots, shot => shot.Text == episode.Query.Prompt + episode.Answer);
        });

        var words = WordsOf(File.ReadAllText(world.Path("evaluation", "episodes.jsonl")));
        Assert.Equal(12, words.Count);
        Assert.Empty(words.Intersect(EvaluationWords));
        Assert.Empty(words.Intersect(WordsOf(string.Join('\n', world.TrainingText))));

        var held = File.ReadLines(world.Path("evaluation", "held-out-pairs.jsonl")).ToList();
        Assert.Equal(80, held.Count);
        Assert.All(held, line => Assert.Contains(HeldOut, pair => line.Contains(pair, StringComparison.Ordinal)));
    }

    [Fact]
    public void The_ninth_shape_is_taught_and_asked()
    {
        Assert.All(File.ReadLines(world.Path("ninth-shape", "arrows.jsonl")), line => Assert.Contains(" arrow<|endofchunk|>", line));
        Assert.All(File.ReadLines(world.Path("ninth-shape", "ordinary.jsonl")), line => Assert.DoesNotContain("arrow", line));
        foreach (var file in new[] { "arrows.jsonl", "arrows-in-scenes.jsonl" })
        {
            var lines = File.ReadAllLines(world.Path("ninth-shape", "evaluation", file));
            Assert.Equal(100, lines.Length);
            Assert.All(lines, line => Assert.Contains("arrow", line));
        }
    }

    [Fact(Timeout = 120_000)]
    public async Task The_same_arguments_give_the_same_files_and_another_seed_gives_others()
    {
        using var again = new Written();
        await again.InitializeAsync();
        string[] Names(Written written) => [.. Directory.GetFiles(written.Folder, "*", SearchOption.AllDirectories)
            .Select(file => System.IO.Path.GetRelativePath(written.Folder, file)).Order()];
        Assert.Equal(Names(world), Names(again));
        Assert.All(Names(world), name => Assert.Equal(File.ReadAllBytes(world.Path(name)), File.ReadAllBytes(again.Path(name))));

        await again.RunAsync("--pictures", "5", "--episodes", "5", "--seed", "6");
        Assert.NotEqual(File.ReadAllText(world.Path("episodes-00.jsonl")), File.ReadAllText(again.Path("episodes-00.jsonl")));
        Assert.NotEqual(File.ReadAllBytes(world.Path("bank/000000.png")), File.ReadAllBytes(again.Path("bank/000000.png")));
    }

    [Theory(Timeout = 60_000)]
    [InlineData("--pictures many", "--pictures is 'many'. Give a whole number from 0 to 10000000.")]
    [InlineData("--colour red", "'--colour' is no option. These are: --episodes, ")]
    [InlineData("--episodes 3", "--episodes choose from the pictures of --pictures.")]
    [InlineData("--pictures", "--pictures has no value.")]
    public async Task A_wrong_argument_is_named(string arguments, string message)
    {
        var run = await ProgramRun.RunAsync("dotnet", [Written.Program, .. arguments.Split(' ')], TestContext.Current.CancellationToken);
        Assert.StartsWith(message, run.MustReturn(2).Error, StringComparison.Ordinal);
    }

    // The words behind "This is a", and retrieval.json's candidates.
    private static HashSet<string> WordsOf(string text) => [.. NewWord().Matches(text).Select(match => match.Groups[1].Value)];

    [GeneratedRegex("(?<=\"|This is a) ([a-z]{4})(?=\"|<)")]
    private static partial Regex NewWord();

    public sealed record Segment(string? Picture, string? Description, string? Text, bool? Loss);

    /// <summary>A small world in a temporary folder.</summary>
    public sealed class Written : IAsyncLifetime, IDisposable
    {
        public static string Program { get; } = RepositoryFiles.Path(
            "artifacts", "bin", "ShapesWorld", new DirectoryInfo(AppContext.BaseDirectory).Name, "ShapesWorld.dll");

        public string Folder { get; } = Directory.CreateTempSubdirectory("flamingo-world-").FullName;

        /// <summary>The training episodes without those of arrows; pictures are full paths.</summary>
        public IReadOnlyList<IReadOnlyList<Segment>> Episodes { get; private set; } = [];

        public IEnumerable<string> TrainingText => TrainingFiles.Select(File.ReadAllText)
            .Concat(Pairs.Values.Select(pair => Encoding.UTF8.GetString(pair[".txt"])));

        /// <summary>Contents of the tars: by name, and then by ending.</summary>
        public Dictionary<string, Dictionary<string, byte[]>> Pairs { get; } = [];

        private IEnumerable<string> TrainingFiles => Directory.GetFiles(Folder, "*.jsonl", SearchOption.AllDirectories)
            .Where(file => !file.Contains("evaluation", StringComparison.Ordinal)).Order();

        public string Path(params string[] parts) => System.IO.Path.Combine([Folder, .. parts]);

        public async ValueTask InitializeAsync()
        {
            await RunAsync("--pictures", "500", "--episodes", "300", "--files", "2", "--shards", "1100",
                "--evaluation", Path("evaluation"), "--ninth-shape", "20", "--ordinary", "30");
            Episodes = [.. TrainingFiles.Where(file => System.IO.Path.GetFileName(file) != "arrows.jsonl")
                .SelectMany(file => File.ReadLines(file).Select(line => Read(file, line)))];
            foreach (var file in Directory.GetFiles(Path("shards")))
            {
                using var tar = new TarReader(File.OpenRead(file));
                while (await tar.GetNextEntryAsync() is { } entry)
                {
                    var (name, ending) = (System.IO.Path.GetFileNameWithoutExtension(entry.Name), System.IO.Path.GetExtension(entry.Name));
                    if (!Pairs.TryGetValue(name, out var pair)) Pairs[name] = pair = [];
                    using var bytes = new MemoryStream();
                    await entry.DataStream!.CopyToAsync(bytes);
                    pair.Add(ending, bytes.ToArray());
                }
            }
        }

        public async Task RunAsync(params string[] arguments) => (await ProgramRun.RunAsync(
            "dotnet", [Program, "--output", Folder, .. arguments], TestContext.Current.CancellationToken)).MustReturn(0);

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }

        public void Dispose()
        {
            if (Directory.Exists(Folder)) Directory.Delete(Folder, recursive: true);
        }

        private static Segment[] Read(string file, string line) =>
        [
            .. JsonSerializer.Deserialize<JsonElement>(line).GetProperty("segments").Deserialize<Segment[]>(JsonSerializerOptions.Web)!
                .Select(segment => segment.Picture is not { } name ? segment
                    : segment with { Picture = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(file)!, name) }),
        ];
    }
}
