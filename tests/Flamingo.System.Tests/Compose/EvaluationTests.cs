using System.Text.Json;
using Flamingo.Testing;
using FlamingoCommand = Flamingo.Cli.CommandLine;

namespace Flamingo.SystemTests.Compose;

/// <summary><c>flamingo eval</c> at the stack, whose language models are restarted in the middle: the table is the golden one.</summary>
public sealed class EvaluationTests(ComposeStack stack) : ComposeTest(stack)
{
    [Fact(Timeout = 600_000)]
    public async Task The_table_of_the_episodes_is_the_goldens_although_the_language_models_are_restarted()
    {
        var shapes = RepositoryFiles.Path("tests", "reference", "shapes", "evaluation");
        var folder = Directory.CreateTempSubdirectory("flamingo-evaluation-");
        try
        {
            var (output, error) = (new StringWriter(), new StringWriter());
            var file = Path.Combine(folder.FullName, "results.json");
            // As a tenant of its own, because other tests expect that their pictures were never encoded.
            var evaluating = FlamingoCommand.RunAsync(
                [
                    "eval", "episodes", shapes, "--results", file, "--server", await Stack.AddressAsync(Cancellation), "--tenant",
                    "evaluation",
                ], output, error, Cancellation);
            var log = new FileInfo($"{file}.answers.jsonl");
            await ComposeStack.EventuallyAsync("the run has some hundred answers", () =>
            {
                log.Refresh();
                return Task.FromResult(evaluating.IsCompleted || (log.Exists && log.Length > 60_000));
            }, Cancellation);
            Assert.False(evaluating.IsCompleted, $"{output}\n{error}");
            await Stack.ComposeAsync(Cancellation, "restart", "--timeout", "10", "language-model");
            Assert.True(await evaluating == 0, $"{output}\n{error}");

            using var golden = JsonDocument.Parse(await File.ReadAllBytesAsync(Path.Combine(shapes, "golden.json"), Cancellation));
            using var results = JsonDocument.Parse(await File.ReadAllBytesAsync(file, Cancellation));
            var table = golden.RootElement.GetProperty("table").EnumerateObject().ToArray();
            Assert.Equal(23, table.Length);
            foreach (var expected in table)
            {
                var measured = results.RootElement.GetProperty(expected.Name);
                Assert.Equal(expected.Value.GetProperty("accuracy").GetDouble(), measured.GetProperty("accuracy").GetDouble(), 3);
                Assert.Equal(expected.Value.GetProperty("n").GetInt32(), measured.GetProperty("n").GetInt32());
            }

            TestContext.Current.TestOutputHelper?.WriteLine(error.ToString());
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
