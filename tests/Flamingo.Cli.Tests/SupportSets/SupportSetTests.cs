using System.Text.Json;
using Flamingo.Cli.Tests.Running;

namespace Flamingo.Cli.Tests.SupportSets;

/// <summary>Tests support sets on a server, and from a file in this process.</summary>
public sealed class SupportSetTests(RunningServer server) : IClassFixture<RunningServer>
{
    /// <summary>The shots of new-word.json as a set.</summary>
    private static string Words => Examples.Prompt("words.jsonl");

    private static string[] Query => ["--picture", Examples.Prompt("new-word-query.png"), "This is a", "--max-tokens", "14", "--json"];

    private string[] Server => ["--server", server.Address];

    [Fact]
    public async Task A_set_is_put_asked_listed_replaced_and_deleted_each_tenant_its_own()
    {
        string[] tenant = ["--tenant", "team-a", .. Server];
        var put = (await FlamingoCommand.RunAsync(
            ["support-set", "put", "words", Words, "--ttl", "600", "--json", .. tenant])).MustReturn(0);
        using var made = JsonDocument.Parse(put.Output);
        Assert.Equal(["name", "version", "created", "expires", "example_count", "examples"],
            made.RootElement.EnumerateObject().Select(member => member.Name));
        Assert.Equal((1, 8), (made.RootElement.GetProperty("version").GetInt32(),
            made.RootElement.GetProperty("example_count").GetInt32()));

        // The server holds the shots of new-word.json, so the answer is the golden one and only the query picture is encoded.
        using var answer = JsonDocument.Parse(
            (await FlamingoCommand.RunAsync(["generate", "--support-set", "words", .. Query, .. tenant])).MustReturn(0).Output);
        Assert.Equal(Examples.Golden("new-word-query.png", 8).Ids,
            answer.RootElement.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()));
        Assert.Equal((8, 1), (answer.RootElement.GetProperty("cache").GetProperty("memory_hits").GetInt32(),
            answer.RootElement.GetProperty("cache").GetProperty("encoded").GetInt32()));
        Assert.Equal("""{"name":"words","version":1,"examples":[0,1,2,3,4,5,6,7]}""", answer.RootElement.GetProperty("shots").GetRawText());

        var stranger = (await FlamingoCommand.RunAsync(["generate", "--support-set", "words", .. Query, .. Server])).MustReturn(1);
        Assert.Contains("words", stranger.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("Send its file again", stranger.Error, StringComparison.Ordinal); // the missing resource is not a picture

        (await FlamingoCommand.RunAsync(["support-set", "put", "words", Words, "--expected-version", "7", .. tenant])).MustReturn(1);
        var replaced = (await FlamingoCommand.RunAsync(
            ["support-set", "put", "words", Words, "--expected-version", "1", .. tenant])).MustReturn(0);
        Assert.Contains("never", replaced.Output, StringComparison.Ordinal);

        var whole = (await FlamingoCommand.RunAsync(["support-set", "get", "words", .. tenant])).MustReturn(0).Output;
        Assert.Contains(answer.RootElement.GetProperty("pictures")[3].GetProperty("id").GetString()!, whole, StringComparison.Ordinal);
        Assert.Equal(4, whole.Split("This is a pilu").Length - 1);
        using var listed = JsonDocument.Parse(
            (await FlamingoCommand.RunAsync(["support-set", "list", "--json", .. tenant])).MustReturn(0).Output);
        Assert.Equal(("words", 2, 0),
            (listed.RootElement.GetProperty("name").GetString(), listed.RootElement.GetProperty("version").GetInt32(),
                listed.RootElement.GetProperty("examples").GetArrayLength()));
        Assert.DoesNotContain("words", (await FlamingoCommand.RunAsync(["support-set", "list", .. Server])).MustReturn(0).Output,
            StringComparison.Ordinal);

        (await FlamingoCommand.RunAsync(["support-set", "delete", "words", .. tenant])).MustReturn(0);
        Assert.Contains("words", (await FlamingoCommand.RunAsync(["support-set", "get", "words", .. tenant])).MustReturn(1).Error,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_of_examples_is_drawn_from_in_one_command()
    {
        string[] examples = ["--support-set", Words, .. Query];
        async Task<int[]> DrawnAsync(params string[] options)
        {
            using var answer = JsonDocument.Parse(
                (await FlamingoCommand.RunAsync(["generate", .. examples, .. options])).MustReturn(0).Output);
            Assert.Equal(answer.RootElement.GetProperty("shots").GetProperty("examples").GetArrayLength() + 1,
                answer.RootElement.GetProperty("pictures").GetArrayLength());
            return [.. answer.RootElement.GetProperty("shots").GetProperty("examples").EnumerateArray().Select(place => place.GetInt32())];
        }

        var first = await DrawnAsync("--shots", "3");
        Assert.Equal([0, 1, 2], first);
        var random = await DrawnAsync("--shots", "8", "--select", "random", "--selection-seed", "5");
        Assert.Equal(Enumerable.Range(0, 8), random.Order());
        Assert.NotEqual(Enumerable.Range(0, 8), random);
        var rices = await DrawnAsync("--shots", "2", "--select", "rices");
        var all = await DrawnAsync("--shots", "8", "--select", "rices");
        Assert.Equal(all[^2..], rices); // the most similar examples come last, whatever their number is
    }

    [Fact]
    public async Task All_faults_of_a_file_of_examples_come_at_once_by_their_lines()
    {
        using var folder = new TemporaryFolder();
        var file = folder.Write("words.jsonl", """
            {"picture": "gone.png", "text": "a"}

            {"picture": 1, "text": "a"}
            {"text": "a"}
            {"picture": "a.png", "video": "b.gif", "text": "a"}
            {"picture": "a.png", "txt": "a"}
            [1]
            {
            """);
        var error = (await FlamingoCommand.RunAsync(["support-set", "put", "words", file, .. Server])).MustReturn(2).Error;
        foreach (var (line, fault) in new[] { (1, ": picture: "), (1, "gone.png does not exist"), (3, "must be a string"),
            (4, "not 0"), (5, "not 2"), (6, "unknown member 'txt'"), (6, "the member 'text'"), (7, "must be an object"),
            (8, "not valid JSON") })
            Assert.Contains(error.Split('\n'),
                said => said.Contains($"line {line}", StringComparison.Ordinal) && said.Contains(fault, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_clip_is_refused_where_the_model_sees_still_pictures_alone()
    {
        var inline = (await FlamingoCommand.RunAsync("generate", "--video", Examples.Prompt("caption-query.png"), "Output:", "--max-frames",
            "2")).MustReturn(1);
        Assert.Contains($"--video {Examples.Prompt("caption-query.png")}: This checkpoint has no frame embeddings",
            inline.Error, StringComparison.Ordinal);
        using var folder = new TemporaryFolder();
        File.Copy(Examples.Prompt("caption-query.png"), folder.File("a.png"));
        var prompt = folder.Write("prompt.json",
            """{"segments": [{"frames": ["a.png", "a.png"], "max_frames": 2}, {"text": "Output:"}]}""");
        Assert.Contains("no frame embeddings",
            (await FlamingoCommand.RunAsync(["generate", "--prompt", prompt, .. Server])).MustReturn(1).Error, StringComparison.Ordinal);
        var examples = folder.Write("clips.jsonl", """{"video": "a.png", "text": "a"}""");
        Assert.Contains("clips.jsonl, line 1 (a.png): This checkpoint has no frame embeddings",
            (await FlamingoCommand.RunAsync(["support-set", "put", "clips", examples, .. Server])).MustReturn(1).Error,
            StringComparison.Ordinal);
    }
}
