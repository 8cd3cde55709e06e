using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.Cli.Tests.Running;
using Flamingo.Cli.Tests.Serving;

namespace Flamingo.Cli.Tests.Batching;

/// <summary>Neither a kill of the command nor a restart of the server loses an answer, and none is written twice.</summary>
public sealed class KilledBatchTests
{
    private const int Lines = 120;

    private static readonly string[] Pictures = ["caption-query.png", "vqa-query.png", "new-word-query.png"];

    [Theory(Timeout = 300_000)]
    [InlineData("input")]
    [InlineData("completion")]
    public async Task Killed_at_three_moments_the_answers_are_those_of_a_run_left_alone(string order)
    {
        using var folder = new TemporaryFolder();
        var input = Input(folder);
        string[] Command(string output) => ["batch", "--input", input, "--output", folder.File(output), "--order", order,
            "--model", Testing.RepositoryFiles.Path("models", "shapes")];
        (await FlamingoCommand.SpawnAsync(folder.Path, Command("alone.jsonl"))).MustReturn(0);
        var (random, most) = (new Random(Seed()), (int)Length(folder.File("alone.jsonl")));
        for (var kill = 1; kill <= 3; kill++)
        {
            await using var command = SpawnedCommand.Start(folder.Path, [], Command("killed.jsonl"));
            await ReachAsync(folder.File("killed.jsonl"), (most * (kill - 1) / 4) + random.Next(most / 50, most / 5),
                TestContext.Current.CancellationToken);
        } // disposing kills it

        (await FlamingoCommand.SpawnAsync(folder.Path, Command("killed.jsonl"))).MustReturn(0);
        Assert.Equal(Answers(folder.File("alone.jsonl")), Answers(folder.File("killed.jsonl")));
        if (order == "input")
            Assert.Equal(Enumerable.Range(1, Lines), Read(folder.File("killed.jsonl")).Select(line => line["line"]!.GetValue<int>()));
    }

    [Fact(Timeout = 300_000)]
    public async Task A_restart_of_the_server_loses_nothing()
    {
        using var folder = new TemporaryFolder();
        var (input, output, port) = (Input(folder), folder.File("out.jsonl"), RunningServer.FreePort());
        var server = new RunningServer { Port = port };
        await server.InitializeAsync();
        var batch = FlamingoCommand.RunAsync("batch", "-i", input, "-o", output, "--server", server.Address, "--in-flight", "4");
        await ReachAsync(output, 10_000, TestContext.Current.CancellationToken);
        await server.DisposeAsync();
        Assert.False(batch.IsCompleted);
        server = new RunningServer { Port = port };
        await server.InitializeAsync();
        Assert.Contains("failed: 0", (await batch).MustReturn(0).Error, StringComparison.Ordinal);
        await server.DisposeAsync();
        Assert.Equal(Enumerable.Range(1, Lines), Read(output).Select(line => line["line"]!.GetValue<int>()));
    }

    private static string Input(TemporaryFolder folder) => folder.Write("in.jsonl", string.Join('\n', Enumerable.Range(0, Lines)
        .Select(line => JsonSerializer.Serialize(new
        {
            id = line, task = "answer", picture = Examples.Prompt(Pictures[line % 3]), question = $"how many shapes are in picture {line}?",
        }))));

    private static async Task ReachAsync(string file, long length, CancellationToken cancellation)
    {
        while (Length(file) < length) await Task.Delay(5, cancellation);
    }

    private static Dictionary<int, string> Answers(string file) =>
        Read(file).ToDictionary(line => line["line"]!.GetValue<int>(), line => $"{line["id"]}: {line["text"]}");

    private static IReadOnlyList<JsonNode> Read(string file) => [.. File.ReadLines(file).Select(line => JsonNode.Parse(line)!)];

    private static int Seed()
    {
        var seed = Environment.TickCount;
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        return seed;
    }

    private static long Length(string file) => new FileInfo(file) is { Exists: true } there ? there.Length : 0;
}
