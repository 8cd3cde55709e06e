using System.Text.Json;
using Flamingo.Cli.Tests.Running;
using Flamingo.Cli.Tests.Serving;
using Flamingo.Testing;

namespace Flamingo.Cli.Tests.Evaluating;

/// <summary>A run that was killed three times comes to the results of a run that was left alone.</summary>
public sealed class KilledEvalTests
{
    private static readonly string Shapes = RepositoryFiles.Path("tests", "reference", "shapes", "evaluation");

    [Fact(Timeout = 300_000)]
    public async Task Killed_at_three_moments_the_results_are_those_of_a_run_left_alone()
    {
        var cancellation = TestContext.Current.CancellationToken;
        using var folder = new TemporaryFolder();
        string[] Command(string name) => ["eval", "episodes", Shapes, "--shots", "1", "2", "--model",
            RepositoryFiles.Path("models", "shapes"), "--results", folder.File(name)];
        (await FlamingoCommand.SpawnAsync(folder.Path, Command("alone.json"))).MustReturn(0);

        var (random, log) = (new Random(Seed()), folder.File("killed.json.answers.jsonl"));
        var most = (int)Length(folder.File("alone.json.answers.jsonl"));
        for (var kill = 1; kill <= 3; kill++)
        {
            var enough = (most * (kill - 1) / 4) + random.Next(most / 50, most / 4);
            await using var command = SpawnedCommand.Start(folder.Path, [], Command("killed.json"));
            while (Length(log) < enough) await Task.Delay(5, cancellation);
        } // disposing kills it

        Assert.InRange(Length(log), most / 2, most - 1);
        (await FlamingoCommand.SpawnAsync(folder.Path, Command("killed.json"))).MustReturn(0);
        Assert.Equal(Results("alone.json"), Results("killed.json"));

        string Results(string name)
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(folder.File(name)));
            var whole = json.RootElement.GetProperty("flamingo");
            return whole.GetProperty("scores").GetRawText() + whole.GetProperty("items").GetRawText();
        }

        int Seed()
        {
            var seed = Environment.TickCount;
            TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
            return seed;
        }
    }

    // The writer has locked the file against other programs of .NET, so its length tells how far it is.
    private static long Length(string log) => new FileInfo(log) is { Exists: true } file ? file.Length : 0;
}
