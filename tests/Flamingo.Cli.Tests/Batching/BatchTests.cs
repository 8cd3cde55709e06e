using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.Cli.Tests.Running;

namespace Flamingo.Cli.Tests.Batching;

/// <summary><c>flamingo batch</c>: every kind of line, in this process and at a server, with errors beside their lines.</summary>
public sealed class BatchTests(RunningServer server) : IClassFixture<RunningServer>
{
    private static readonly string Caption = Examples.Prompt("caption-query.png");

    [Theory(Timeout = 120_000)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Every_task_is_answered_in_the_order_of_the_input_with_errors_beside_their_lines(bool remote)
    {
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        using var folder = new TemporaryFolder();
        File.Copy(Caption, folder.File("picture.png"));
        var input = folder.Write("in.jsonl", string.Join('\n',
            """{"id": "a", "task": "caption", "picture": "picture.png", "zero_shot": false}""",
            """{"id": 2, "segments": [{"picture": "picture.png"}, {"text": "Output:"}], "sampling": {"max_tokens": 20}}""",
            $$$"""{"task": "answer", "picture": {{{Json("vqa-query.png")}}}, "question": "how many shapes are there?", "examples": """
                + $$$"""[{"picture": {{{Json("vqa-shot-1.png")}}}, "question": "is there a yellow star?", "answer": "no"}]}""",
            "",
            """{"task": "classify", "picture": "picture.png", "scoring": "sum", "labels": ["three hexagons", """
                + $"\"{Examples.Golden("caption-query.png", 0).Text}\"]}}",
            """{"segments": [{"picture": "picture.png"}, {"text": "Output:"}], "candidates": [" a", " b"]}""",
            "{broken",
            """{"id": "gone", "task": "caption", "picture": "gone.png"}""",
            """{"task": "caption", "pictrue": "picture.png"}""",
            """{"task": "paint", "picture": "picture.png"}""",
            $$"""{"task": "caption", "picture_id": "{{new string('0', 64)}}"}"""));
        string[] where = remote ? ["--server", server.Address] : [];
        var ran = (await FlamingoCommand.RunAsync(["batch", "--input", input, "--output", folder.File("out.jsonl"), .. where]))
            .MustReturn(1);
        Assert.Contains("failed: 5", ran.Error, StringComparison.Ordinal);
        var lines = Read(folder.File("out.jsonl"));
        Assert.Equal([1, 2, 3, 5, 6, 7, 8, 9, 10, 11], lines.Select(line => line["line"]!.GetValue<int>()));
        Assert.Equal(("a", 2), (lines[0]["id"]!.GetValue<string>(), lines[1]["id"]!.GetValue<int>()));
        var golden = Examples.Golden("caption-query.png", 0).Text;
        Assert.Equal([golden, golden, Examples.Golden("vqa-query.png", 1).Text],
            lines.Take(3).Select(line => line["text"]!.GetValue<string>()));
        Assert.Equal(golden, lines[3]["labels"]![0]!["label"]!.GetValue<string>());
        Assert.Equal(2, lines[4]["candidates"]!.AsArray().Count);
        string[] said = ["line 7", "gone.png does not exist", "pictrue: caption does not know it", "task: must be one of", "Missing: 0000"];
        Assert.All(lines.Skip(5).Zip(said), pair =>
            Assert.Contains(pair.Second, pair.First["error"]!["message"]!.GetValue<string>(), StringComparison.Ordinal));
        Assert.Equal(["invalid_argument", "not_found"],
            lines.Skip(5).Select(line => line["error"]!["code"]!.GetValue<string>()).Distinct());
        Assert.Equal("gone", lines[6]["id"]!.GetValue<string>());
    }

    [Fact(Timeout = 120_000)]
    public async Task A_second_run_on_the_same_pictures_encodes_nothing_and_a_second_start_asks_nothing()
    {
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        using var folder = new TemporaryFolder();
        string[] pictures = ["new-word-shot-1.png", "new-word-shot-2.png", "new-word-query.png"];
        var input = folder.Write("in.jsonl", string.Join('\n', Enumerable.Range(0, 30).Select(line =>
            $$"""{"task": "caption", "picture": {{JsonSerializer.Serialize(Examples.Prompt(pictures[line % 3]))}}}""")));
        string[] Command(string output, params string[] more) =>
            ["batch", "-i", input, "-o", folder.File(output), "--server", server.Address, "--order", "completion", .. more];
        (await FlamingoCommand.RunAsync(Command("first.jsonl"))).MustReturn(0);
        Assert.Contains("pictures: 30, encoded: 0;", (await FlamingoCommand.RunAsync(Command("second.jsonl"))).MustReturn(0).Error,
            StringComparison.Ordinal);
        Assert.Equal(Read(folder.File("first.jsonl")).ToDictionary(Number, Text),
            Read(folder.File("second.jsonl")).ToDictionary(Number, Text));

        var again = (await FlamingoCommand.RunAsync(Command("first.jsonl"))).MustReturn(0);
        Assert.Contains("30 of 30 lines are answered already", again.Error, StringComparison.Ordinal);
        Assert.Contains("0 lines in", again.Error, StringComparison.Ordinal);
        File.AppendAllText(input, "\n{}");
        Assert.Contains("input differ", (await FlamingoCommand.RunAsync(Command("first.jsonl"))).MustReturn(1).Error,
            StringComparison.Ordinal);
        (await FlamingoCommand.RunAsync(Command("first.jsonl", "--restart"))).MustReturn(1); // {} has no task
        Assert.Equal(31, Read(folder.File("first.jsonl")).Count);

        static int Number(JsonNode line) => line["line"]!.GetValue<int>();
        static string Text(JsonNode line) => line["text"]!.GetValue<string>();
    }

    [Fact(Timeout = 120_000)]
    public async Task Lines_of_OpenAIs_batch_format_are_answered_in_its_output_format()
    {
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        using var folder = new TemporaryFolder();
        var picture = $"data:image/png;base64,{Convert.ToBase64String(File.ReadAllBytes(Caption))}";
        var body = $$$"""{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "{{{picture}}}"}}]}]}""";
        var input = folder.Write("in.jsonl", string.Join('\n',
            $$"""{"custom_id": "one", "method": "POST", "url": "/v1/chat/completions", "body": {{body}}}""",
            """{"custom_id": "two", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": []}}""",
            """{"custom_id": "three", "method": "GET", "url": "/v1/models", "body": {}}"""));
        var ran = (await FlamingoCommand.RunAsync("batch", "-i", input, "-o", folder.File("out.jsonl"))).MustReturn(1);
        Assert.Contains("pictures: 1, encoded: 1; failed: 2", ran.Error, StringComparison.Ordinal);
        var lines = Read(folder.File("out.jsonl"));
        Assert.Equal(["one", "two", "three"], lines.Select(line => line["custom_id"]!.GetValue<string>()));
        Assert.All(lines, line => Assert.StartsWith("batch_req_", line["id"]!.GetValue<string>(), StringComparison.Ordinal));
        Assert.Equal((200, "a large"), (lines[0]["response"]!["status_code"]!.GetValue<int>(),
            lines[0]["response"]!["body"]!["choices"]![0]!["message"]!["content"]!.GetValue<string>()[..7]));
        Assert.Null(lines[0]["error"]);
        Assert.Equal(400, lines[1]["response"]!["status_code"]!.GetValue<int>());
        Assert.Null(lines[2]["response"]);
        Assert.Contains("method: must be POST", lines[2]["error"]!["message"]!.GetValue<string>(), StringComparison.Ordinal);
    }

    [Fact(Timeout = 120_000)]
    public async Task Whatever_a_line_holds_the_others_are_answered()
    {
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        using var folder = new TemporaryFolder();
        File.Copy(Caption, folder.File("p.png"));
        (string Line, string Said)[] wrong =
        [
            ("""{"task": "answer", "picture": "p.png", "question": "\ud83d"}""", "half of a surrogate pair"),
            ("""{"task": "answer", "picture": "p.png", "que\uDE00stion": "x"}""", "half of a surrogate pair"),
            ("""{"task": "answer", "picture": "p.png", "question": "@@@"}""", "not UTF-8"),
            ("""{"id": {}, "task": "caption", "picture": "p.png"}""", "id: must be a string or a number"),
            ("""{"task": "caption", "task": "caption", "picture": "p.png"}""", "task"),
            ("""[1]""", "must be a JSON object"),
            ("""{"task": "caption", "picture": "p.png", "examples": [{"picture": "p.png", "answr": "x"}]}""", "examples[0].answr"),
            ("""{"task": "caption", "picture": "p.png", "examples": [{"picture": "p.png", "answer": ""}]}""", "examples[0].answer: The"),
            ("""{"task": "caption", "picture": "p.png", "support_set": {"name": "x", "size": 1}}""", "support_set.size"),
            ("""{"task": "caption", "picture": "p.png", "support_set": {"name": "x", "count": 4294967297}}""", "support_set.count"),
            ("""{"task": "caption", "picture": "p.png", "support_set": {"name": "x", "selection": "all,first"}}""",
                "support_set.selection"),
            ("""{"task": "classify", "picture": "p.png", "labels": ["a"], "ensemble": {"permutations": 4294967298}}""",
                "ensemble.permutations"),
            ("""{"task": "caption", "picture": "wrong.png"}""", "picture: "),
        ];
        File.WriteAllText(folder.File("wrong.png"), "no picture");
        const string Right = """{"id": "right", "task": "caption", "picture": "p.png"}""";
        byte[] text = [.. wrong.SelectMany(one => Encoding.UTF8.GetBytes($"{one.Line}\n{Right}\r\n"))];
        var at = text.AsSpan().IndexOf("@@@"u8);
        text = [.. Encoding.UTF8.Preamble, .. text[..at], 0xff, .. text[(at + 3)..]];
        File.WriteAllBytes(folder.File("in.jsonl"), text);
        var ran = await FlamingoCommand.RunAsync("batch", "-i", folder.File("in.jsonl"), "-o", folder.File("out.jsonl"));
        Assert.Contains($"failed: {wrong.Length}", ran.MustReturn(1).Error, StringComparison.Ordinal);
        var lines = Read(folder.File("out.jsonl"));
        Assert.Equal(Enumerable.Range(1, 2 * wrong.Length), lines.Select(line => line["line"]!.GetValue<int>()));
        Assert.All(wrong.Index(), one => Assert.Contains(
            one.Item.Said, lines[2 * one.Index]["error"]!["message"]!.GetValue<string>(), StringComparison.Ordinal));
        Assert.All(wrong.Index(), one =>
            Assert.Equal(Examples.Golden("caption-query.png", 0).Text, lines[(2 * one.Index) + 1]["text"]!.GetValue<string>()));
    }

    [Fact(Timeout = 120_000)]
    public async Task A_line_that_failed_is_asked_again_and_answered_in_its_place()
    {
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        using var folder = new TemporaryFolder();
        File.Copy(Caption, folder.File("there.png"));
        var input = folder.Write("in.jsonl", string.Join('\n', new[] { "there", "later", "there" }.Select(
            name => $$"""{"task": "caption", "picture": "{{name}}.png"}""")));
        string[] command = ["batch", "-i", input, "-o", folder.File("out.jsonl")];
        (await FlamingoCommand.RunAsync(command)).MustReturn(1);
        var still = (await FlamingoCommand.RunAsync(command)).MustReturn(1);
        Assert.Contains("2 of 3 lines are answered already, and 1 that failed are asked again.", still.Error, StringComparison.Ordinal);
        Assert.Equal(3, Read(folder.File("out.jsonl")).Count);
        File.Copy(Caption, folder.File("later.png"));
        (await FlamingoCommand.RunAsync(command)).MustReturn(0);
        var lines = Read(folder.File("out.jsonl"));
        Assert.Equal([1, 2, 3], lines.Select(line => line["line"]!.GetValue<int>()));
        Assert.All(lines, line => Assert.NotNull(line["text"]));
    }

    [Fact(Timeout = 120_000)]
    public async Task OpenAIs_lines_say_at_once_that_there_is_no_HTTP_port()
    {
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        using var folder = new TemporaryFolder();
        var input = folder.Write("in.jsonl", """{"custom_id": "one", "method": "POST", "url": "/v1/completions", "body": {}}""");
        foreach (var address in new[] { server.Address, $"http://localhost:{RunningServer.FreePort()}" }) // gRPC's port, and nobody's
            Assert.Contains("HTTP port", (await FlamingoCommand.RunAsync(
                "batch", "-i", input, "-o", folder.File("out.jsonl"), "--server", address)).MustReturn(1).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Wrong_usage_is_said_before_anything_is_loaded()
    {
        using var folder = new TemporaryFolder();
        (await FlamingoCommand.RunAsync("batch", "--input", folder.File("none.jsonl"), "--output", folder.File("out.jsonl"))).MustReturn(2);
        var input = folder.Write("in.jsonl", "{}");
        (await FlamingoCommand.RunAsync("batch", "--input", input, "--output", input)).MustReturn(2);
        (await FlamingoCommand.RunAsync("batch", "--input", folder.Write("empty.jsonl", ""), "--output", folder.File("out.jsonl")))
            .MustReturn(2);
        (await FlamingoCommand.RunAsync("batch", "--input", input, "--output", folder.File("o"), "--order", "random")).MustReturn(2);
        (await FlamingoCommand.RunAsync("batch", "--input", input, "--output", folder.File("o"), "--key-file", "k")).MustReturn(2);
        var mine = folder.Write("mine.txt", "keep me");
        Assert.Contains("no run wrote it",
            (await FlamingoCommand.RunAsync("batch", "--input", input, "--output", mine)).MustReturn(1).Error,
            StringComparison.Ordinal);
        Assert.Equal("keep me", File.ReadAllText(mine));
    }

    private static string Json(string picture) => JsonSerializer.Serialize(Examples.Prompt(picture));

    private static IReadOnlyList<JsonNode> Read(string file) => [.. File.ReadLines(file).Select(line => JsonNode.Parse(line)!)];
}
