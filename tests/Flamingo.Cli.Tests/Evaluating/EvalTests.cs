using System.Text.Json;
using Flamingo.Cli.Tests.Running;
using Flamingo.Testing;

namespace Flamingo.Cli.Tests.Evaluating;

/// <summary><c>flamingo eval</c> on the shapes and on small files in the publishers' formats, in this process and at a server.</summary>
public sealed class EvalTests(RunningServer server) : IClassFixture<RunningServer>
{
    private static readonly string Shapes = RepositoryFiles.Path("tests", "reference", "shapes", "evaluation");
    private static readonly string Data = RepositoryFiles.Path("tests", "Flamingo.Evaluation.Tests", "Data");

    [Theory(Timeout = 300_000)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_table_of_the_episodes_is_the_goldens_here_and_at_a_server(bool remote)
    {
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        using var folder = new TemporaryFolder();
        string[] where = remote ? ["--server", server.Address] : [];
        var ran = (await FlamingoCommand.RunAsync(["eval", "episodes", Shapes, "--results", folder.File("results.json"), .. where]))
            .MustReturn(0);
        using var golden = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Shapes, "golden.json")));
        using var results = JsonDocument.Parse(File.ReadAllBytes(folder.File("results.json")));
        foreach (var expected in golden.RootElement.GetProperty("table").EnumerateObject())
        {
            var measured = results.RootElement.GetProperty(expected.Name);
            Assert.Equal(expected.Value.GetProperty("accuracy").GetDouble(), measured.GetProperty("accuracy").GetDouble(), 3);
            Assert.Equal(expected.Value.GetProperty("n").GetInt32(), measured.GetProperty("n").GetInt32());
            Assert.Matches($@"{expected.Name}\s+{expected.Value.GetProperty("accuracy").GetDouble():0.000}\s", ran.Output);
        }

        Assert.Equal(23, golden.RootElement.GetProperty("table").EnumerateObject().Count());
        Assert.True(File.Exists(folder.File("results.html")));
        // A second start has every answer, and changes nothing.
        var before = File.ReadAllText(folder.File("results.json"));
        var again = (await FlamingoCommand.RunAsync(["eval", "episodes", Shapes, "--results", folder.File("results.json"), .. where]))
            .MustReturn(0);
        Assert.Contains("1200 answers are there already", again.Error, StringComparison.Ordinal);
        Assert.Equal(Answers(before), Answers(File.ReadAllText(folder.File("results.json"))));
    }

    [Fact(Timeout = 300_000)]
    public async Task Retrieval_by_similarity_has_the_accuracy_of_the_original_and_computes_each_embedding_once()
    {
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        using var folder = new TemporaryFolder();
        string[] command = ["eval", "retrieval", Shapes, "--shots", "4", "8", "--rices", "--cache", folder.File("cache"), "--results",
            folder.File("results.json"), "--restart"];
        var ran = (await FlamingoCommand.RunAsync(command)).MustReturn(0);
        using var golden = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Shapes, "golden.json")));
        foreach (var shots in new[] { 4, 8 })
        {
            var expected = golden.RootElement.GetProperty("retrieval").GetProperty($"rices {shots}").GetDouble();
            Assert.Matches($@"retrieval at {shots} shots\s+{expected:0.000}\s", ran.Output);
        }

        HasOrderOf(golden.RootElement.GetProperty("rices_order"), folder.File("results.json"));
        Assert.Contains("embeddings", ran.Error, StringComparison.Ordinal);
        var again = (await FlamingoCommand.RunAsync(command)).MustReturn(0);
        Assert.DoesNotContain("embeddings", again.Error, StringComparison.Ordinal);
        Assert.Equal(ran.Output, again.Output);
    }

    [Fact(Timeout = 120_000)]
    public async Task A_support_set_of_the_server_gives_each_query_shots_of_its_own()
    {
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        using var folder = new TemporaryFolder();
        string[] at = ["--server", server.Address];
        var set = folder.Write("words.jsonl", string.Join('\n', RetrievalPictures().Support.Take(16).Select(picture =>
            JsonSerializer.Serialize(new { picture = Path.Combine(Shapes, "pictures", picture), text = $"This is a {picture[..2]}" }))));
        (await FlamingoCommand.RunAsync(["support-set", "put", "words", set, .. at])).MustReturn(0);
        string[] Command(string results) => ["eval", "retrieval", Shapes, "--support-set", "words", "--shots", "4", "--samples", "8",
            "--results", folder.File(results), .. at];
        (await FlamingoCommand.RunAsync(Command("once.json"))).MustReturn(0);
        (await FlamingoCommand.RunAsync(Command("twice.json"))).MustReturn(0);
        Assert.Equal(Answers(File.ReadAllText(folder.File("once.json"))), Answers(File.ReadAllText(folder.File("twice.json"))));
        using var results = JsonDocument.Parse(File.ReadAllBytes(folder.File("once.json")));
        string[] drawn = [.. Items(results).Select(item => string.Join(' ', Shots(item)))];
        Assert.Equal((8, 8), (drawn.Length, drawn.Distinct().Count()));
        Assert.All(drawn, shots => Assert.Matches(@"^(words:\d+ ?){4}$", shots));
        await Wrong("not those of --support-set", [.. Command("other.json"), "--ablations", "blank-pictures"]);
    }

    [Fact(Timeout = 120_000)]
    public async Task A_damaged_picture_fails_alone_and_is_listed_and_never_scored()
    {
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        using var folder = new TemporaryFolder();
        foreach (var file in Directory.GetFiles(Path.Combine(Data, "imagenet"), "*", SearchOption.AllDirectories))
        {
            var copy = folder.File(Path.GetRelativePath(Path.Combine(Data, "imagenet"), file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }

        string Damaged(string split)
        {
            var file = Directory.GetFiles(folder.File(split), "*", SearchOption.AllDirectories).Order().First(Picture);
            File.WriteAllText(file, "This is no picture.");
            return file;
        }

        var (query, example) = (Damaged("val"), Damaged("train"));
        string[] command = ["eval", "imagenet", folder.Path, "--shots", "1", "--rices", "--cache", folder.File("cache"), "--results",
            folder.File("results.json"), "--server", server.Address];
        var ran = (await FlamingoCommand.RunAsync(command)).MustReturn(1);
        Assert.Contains($"{example} is never a shot", ran.Error, StringComparison.Ordinal);
        Assert.Contains($"{query} is never a shot", ran.Error, StringComparison.Ordinal);
        Assert.Matches(@"flamingo: imagenet \S+ with 1 shots failed: ", ran.Error);
        using var results = JsonDocument.Parse(File.ReadAllBytes(folder.File("results.json")));
        Assert.Single(Items(results), item => item.GetProperty("answer").TryGetProperty("error", out _));
        Assert.Single(Items(results), item => !item.TryGetProperty("score", out _));
        Assert.DoesNotContain(Items(results), item => Shots(item).Any(shot => example.EndsWith(shot, StringComparison.Ordinal)));
        // The second start has all other embeddings and answers, and asks for the failed one again.
        var again = (await FlamingoCommand.RunAsync(command)).MustReturn(1);
        Assert.Contains($"{query} is never a shot", again.Error, StringComparison.Ordinal);
        Assert.Contains("5 answers are there already", again.Error, StringComparison.Ordinal);

        static bool Picture(string file) => Path.GetExtension(file) is ".png" or ".jpg" or ".JPEG" or ".jpeg";
    }

    public static TheoryData<string, string> Benchmarks => new()
    {
        { "coco", "--karpathy-json coco/dataset_coco.json --val-images coco/val2014 "
            + "--annotations-json coco/annotations/captions_val2014.json --train-images coco/train2014 --shots 0 2" },
        { "flickr30k", "--karpathy-json flickr30k/dataset_flickr30k.json --images flickr30k/flickr30k-images --shots 0 2" },
        { "vqav2", "--test-questions-json vqav2/v2_OpenEnded_mscoco_val2014_questions.json --test-annotations-json "
            + "vqav2/v2_mscoco_val2014_annotations.json --test-images vqav2/val2014 --train-questions-json "
            + "vqav2/v2_OpenEnded_mscoco_train2014_questions.json --train-annotations-json vqav2/v2_mscoco_train2014_annotations.json "
            + "--train-images vqav2/train2014 --shots 0 2 --trials 2 --samples 1" },
        { "hateful-memes", "--images hateful-memes/img --test-annotations-json hateful-memes/dev.jsonl --train-annotations-json "
            + "hateful-memes/train.jsonl --shots 0 2 --ensemble 2" },
        { "imagenet", "imagenet --shots 0 2 --rices" },
        { "vl-icl", "vl-icl --ablations blank-pictures" },
    };

    [Theory(Timeout = 120_000)]
    [MemberData(nameof(Benchmarks))]
    public async Task Every_publishers_format_is_asked_and_scored(string task, string options)
    {
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        using var folder = new TemporaryFolder();
        string[] words = [.. options.Split(' ').Select(word => word.Contains('/') || word == task ? Path.Combine(Data, word) : word)];
        var ran = (await FlamingoCommand.RunAsync(
            ["eval", task, .. words, "--results", folder.File("results.json"), "--server", server.Address])).MustReturn(0);
        Assert.DoesNotContain("NaN", ran.Output, StringComparison.Ordinal);
        using var results = JsonDocument.Parse(File.ReadAllBytes(folder.File("results.json")));
        var run = results.RootElement.GetProperty("flamingo");
        Assert.NotEmpty(run.GetProperty("items").EnumerateArray());
        Assert.All(run.GetProperty("items").EnumerateArray(), item => Assert.InRange(item.GetProperty("score").GetDouble(), 0, 1000));
        Assert.StartsWith($"flamingo eval {task}", run.GetProperty("run").GetProperty("command").GetString(), StringComparison.Ordinal);
        Assert.Equal(3, run.GetProperty("run").GetProperty("digests").EnumerateObject().Count());
    }

    [Fact(Timeout = 120_000)]
    public async Task Faults_of_the_files_and_of_the_command_are_said_before_a_model_is_loaded()
    {
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        using var folder = new TemporaryFolder();
        folder.Write("flamingo.json", "{}"); // a model that cannot be loaded
        folder.Write("episodes.jsonl",
            """{"task": "vqa", "shots": [], "query": {"picture": "nowhere.png", "prompt": "a"}, "answer": "b"}""");
        string[] broken = ["--model", folder.Path];
        await Refused("nowhere.png", ["eval", "episodes", folder.Path, .. broken]);
        await Refused("no examples to draw 4 shots from", ["eval", "flickr30k", "--karpathy-json", NoTraining(folder), "--images",
            Path.Combine(Data, "flickr30k/flickr30k-images"), "--shots", "4", .. broken]);
        await Refused("no query with 3 shots", ["eval", "episodes", Shapes, "--shots", "3", .. broken]);
        await Refused("100 shots cannot be drawn from 64", ["eval", "retrieval", Shapes, "--shots", "100", .. broken]);
        await Refused("flamingo.json", ["eval", "episodes", Shapes, .. broken]); // and only then the model
        await Wrong("--ablations knows", "eval", "episodes", Shapes, "--ablations", "nothing");
        await Wrong("--trials 2 and 3 --seeds", "eval", "episodes", Shapes, "--trials", "2", "--seeds", "1", "2", "3");
        await Wrong("--cache keeps", "eval", "retrieval", Shapes, "--cache", folder.Path);
        await Wrong("--restart has no effect", "eval", "episodes", Shapes, "--restart");
        await Wrong("exclude each other", "eval", "retrieval", Shapes, "--rices", "--support-set", "mine");
    }

    [Fact(Timeout = 120_000)]
    public async Task A_run_with_other_options_does_not_go_on_with_the_answers_of_this_one()
    {
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        using var folder = new TemporaryFolder();
        string[] command = ["eval", "retrieval", Shapes, "--shots", "1", "--samples", "4", "--results", folder.File("r.json"), "--server",
            server.Address];
        (await FlamingoCommand.RunAsync(command)).MustReturn(0);
        var refused = (await FlamingoCommand.RunAsync([.. command, "--beams", "2"])).MustReturn(1);
        Assert.Contains("options was", refused.Error, StringComparison.Ordinal);
        (await FlamingoCommand.RunAsync([.. command, "--beams", "2", "--restart"])).MustReturn(0);
        var same = (await FlamingoCommand.RunAsync("eval", "compare", folder.File("r.json"), folder.File("r.json"))).MustReturn(0);
        Assert.Matches(@"retrieval, 1 shots\s+4 .* 0\.000\s+0\.000 to 0\.000\s+may be chance", same.Output);
    }

    [Fact(Timeout = 120_000)]
    public async Task Recorded_scores_are_met_and_a_wrong_one_ends_with_3()
    {
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        using var folder = new TemporaryFolder();
        var recorded = RepositoryFiles.Path("tests", "reference", "metrics.json");
        Assert.Contains("largest difference: ", (await FlamingoCommand.RunAsync("eval", "metrics", recorded)).MustReturn(0).Output,
            StringComparison.Ordinal);
        var wrong = folder.Write("wrong.json", File.ReadAllText(recorded).Replace("\"overall\": 60.0", "\"overall\": 60.00001"));
        Assert.Contains("vqa differs", (await FlamingoCommand.RunAsync("eval", "metrics", wrong)).MustReturn(3).Error,
            StringComparison.Ordinal);
        Assert.Contains("damaged.json, line 1",
            (await FlamingoCommand.RunAsync("eval", "metrics", folder.Write("damaged.json", "{"))).MustReturn(1)
            .Error, StringComparison.Ordinal);
        (await FlamingoCommand.RunAsync("eval", "metrics", folder.File("nowhere.json"))).MustReturn(1);
    }

    // The support set holds some pictures twice, and the order of equal pictures is undefined, so pictures are compared.
    private static void HasOrderOf(JsonElement golden, string file)
    {
        using var results = JsonDocument.Parse(File.ReadAllBytes(file));
        var (support, queries) = RetrievalPictures();
        var compared = 0;
        foreach (var item in Items(results))
        {
            string[] drawn = [.. Shots(item).Select(shot => support[int.Parse(shot)])];
            string[] expected = [.. golden[int.Parse(item.GetProperty("answer").GetProperty("id").GetString()!)].EnumerateArray()
                .Take(drawn.Length).Select(place => support[place.GetInt32()]).Reverse()];
            Assert.Equal(expected, drawn);
            compared++;
        }

        Assert.Equal(2 * queries, compared);
    }

    private static (string[] Support, int Queries) RetrievalPictures()
    {
        using var data = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Shapes, "retrieval.json")));
        return ([.. data.RootElement.GetProperty("support").EnumerateArray().Select(shot => shot.GetProperty("picture").GetString()!)],
            data.RootElement.GetProperty("queries").GetArrayLength());
    }

    private static JsonElement[] Items(JsonDocument results) =>
        [.. results.RootElement.GetProperty("flamingo").GetProperty("items").EnumerateArray()];

    private static string[] Shots(JsonElement item) =>
        [.. item.GetProperty("answer").GetProperty("shots").EnumerateArray().Select(shot => shot.GetString()!)];

    private static async Task Refused(string said, string[] command) =>
        Assert.Contains(said, (await FlamingoCommand.RunAsync(command)).MustReturn(1).Error, StringComparison.Ordinal);

    private static async Task Wrong(string said, params string[] command) =>
        Assert.Contains(said, (await FlamingoCommand.RunAsync(command)).MustReturn(2).Error, StringComparison.Ordinal);

    // The split without its training pictures.
    private static string NoTraining(TemporaryFolder folder) => folder.Write("test-alone.json",
        File.ReadAllText(Path.Combine(Data, "flickr30k/dataset_flickr30k.json")).Replace("\"train\"", "\"restval\""));

    private static string Answers(string results)
    {
        using var json = JsonDocument.Parse(results);
        return json.RootElement.GetProperty("flamingo").GetProperty("items").GetRawText();
    }
}
