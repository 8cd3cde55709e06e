using System.Text.Json;
using Flamingo.Cli.Tests.Running;
using Flamingo.Cli.Tests.Serving;
using Flamingo.Testing;

namespace Flamingo.Cli.Tests.Evaluating;

/// <summary>
/// A run whose server is killed and started again, and a run that is stopped with Ctrl-C and started again: both come to the golden table.
/// </summary>
public sealed class InterruptedEvalTests
{
    private static readonly string Shapes = RepositoryFiles.Path("tests", "reference", "shapes", "evaluation");
    private static readonly string Model = RepositoryFiles.Path("models", "shapes");

    [Fact(Timeout = 300_000)]
    public async Task A_restart_of_the_server_in_the_middle_loses_nothing()
    {
        var cancellation = TestContext.Current.CancellationToken;
        using var folder = new TemporaryFolder();
        var port = RunningServer.FreePort();
        Task<Finished> evaluating;
        await using (var server = await ServeAsync(folder, port))
        {
            evaluating = FlamingoCommand.RunAsync([.. Command(folder), "--server", $"http://localhost:{port}"]);
            await AnsweredAsync(folder, 100, cancellation);
        } // disposing kills it, with requests in flight

        Assert.False(evaluating.IsCompleted);
        await using var again = await ServeAsync(folder, port);
        var ran = (await evaluating).MustReturn(0);
        Assert.DoesNotContain("failed:", ran.Error, StringComparison.Ordinal);
        HasGoldenScores(folder);
    }

    [Fact(Timeout = 300_000)]
    public async Task Ctrl_C_keeps_the_answers_and_the_same_command_goes_on()
    {
        var cancellation = TestContext.Current.CancellationToken;
        using var folder = new TemporaryFolder();
        string[] command = [.. Command(folder), "--model", Model];
        await using (var stopped = SpawnedCommand.Start(folder.Path, [], command))
        {
            await AnsweredAsync(folder, 100, cancellation);
            stopped.CtrlC();
            Assert.Equal(130, await stopped.ExitAsync());
            Assert.DoesNotContain("   at ", stopped.Error, StringComparison.Ordinal);
        }

        Assert.False(File.Exists(folder.File("results.json"))); // there are no results of half a run
        var ran = (await FlamingoCommand.RunAsync(command)).MustReturn(0);
        Assert.Matches(@"flamingo: \d{3} answers are there already", ran.Error);
        HasGoldenScores(folder);
    }

    private static string[] Command(TemporaryFolder folder) =>
        ["eval", "episodes", Shapes, "--shots", "1", "2", "--results", folder.File("results.json")];

    private static async Task<SpawnedCommand> ServeAsync(TemporaryFolder folder, int port)
    {
        var server = SpawnedCommand.Start(folder.Path, [], "serve", "--grpc-port", $"{port}", "--model", Model);
        await server.SaidAsync($"localhost:{port}");
        return server;
    }

    // The writer has locked the file against other programs of .NET, so its length tells how far it is; an answer takes 200 bytes or more.
    private static async Task AnsweredAsync(TemporaryFolder folder, int answers, CancellationToken cancellation)
    {
        var log = new FileInfo(folder.File("results.json.answers.jsonl"));
        using var turns = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        while (await turns.WaitForNextTickAsync(cancellation))
        {
            log.Refresh();
            if (log.Exists && log.Length > answers * 200) return;
        }
    }

    private static void HasGoldenScores(TemporaryFolder folder)
    {
        using var golden = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Shapes, "golden.json")));
        using var results = JsonDocument.Parse(File.ReadAllBytes(folder.File("results.json")));
        var expected = golden.RootElement.GetProperty("table").EnumerateObject()
            .Where(one => one.Name.Split(" at ")[1] is "1 shots" or "2 shots").ToArray();
        Assert.NotEmpty(expected);
        foreach (var score in expected)
        {
            var measured = results.RootElement.GetProperty(score.Name);
            Assert.Equal(score.Value.GetProperty("accuracy").GetDouble(), measured.GetProperty("accuracy").GetDouble(), 3);
            Assert.Equal(score.Value.GetProperty("n").GetInt32(), measured.GetProperty("n").GetInt32());
        }
    }
}
