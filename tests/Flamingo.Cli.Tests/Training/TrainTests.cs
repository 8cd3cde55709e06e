using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Cli.Tests.Running;
using Flamingo.Cli.Tests.Serving;
using Flamingo.Import;
using Flamingo.Testing;

namespace Flamingo.Cli.Tests.Training;

/// <summary><c>flamingo train</c> as a person runs it.</summary>
public sealed class TrainTests : IDisposable
{
    // Threads of torch wait actively, which slows all down where several processes share few cores.
    private static readonly Dictionary<string, string> OneThread = new() { ["OMP_NUM_THREADS"] = "1" };

    private readonly TemporaryFolder _folder = new();

    public TrainTests() => TinyShapes.Examples(_folder.Path);

    private static string Shapes { get; } = RepositoryFiles.Path("models", "shapes");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_new_bridge_is_trained_measured_exported_and_answers()
    {
        TinyShapes.Episodes(_folder.Path);
        var finished = await FlamingoCommand.SpawnAsync(_folder.Path, "", OneThread,
        [
            "train", "--model", Shapes, "--data", "examples.jsonl", "--output", "bridge", "--new-bridge", "1", "--steps", "40",
            "--batch-tokens", "200", "--learning-rate", "3e-3", "--warm-up", "5", "--text-teacher", "0.3", "--evaluate", "episodes.jsonl",
            "--evaluate-every", "30", "--export-openflamingo", "checkpoint.pt",
        ]);
        finished.MustReturn(0);
        Assert.Matches(@"(?m)^Memory: frozen weights .*; .* may be used\.$", finished.Output);
        Assert.Matches(@"(?m)^step 10/40  loss \d\.\d{4}  teacher \d\.\d{3}  norm .*  rate 0\.003  \d+ sequences/s  \d+ tokens/s  gates .*"
            + @"  remaining 0:\d\d:\d\d$", finished.Output);
        Assert.Matches(@"(?m)^  caption at 0 shots +0\.000 of 8$", finished.Output);
        Assert.Matches(@"(?m)^  caption at 0 shots +1\.000 of 8$", finished.Output);
        Assert.Contains("24 samples read, 0 broken", finished.Output, StringComparison.Ordinal);
        Assert.All(["losses.png", "gates.png", "accuracy.png", "metrics.jsonl"],
            name => Assert.True(new FileInfo(_folder.File($"bridge.run/{name}")).Length > 1000, name));

        var provenance = ModelDirectory.Open(_folder.File("bridge")).Config.Provenance;
        Assert.StartsWith($"flamingo train --model {Shapes} --data examples.jsonl --output bridge --new-bridge 1 --steps 40 ",
            provenance.Settings, StringComparison.Ordinal);
        var named = await FlamingoCommand.RunAsync(
            "generate", "--model", _folder.File("bridge"), "--picture", _folder.File("3.png"), "Output:");
        Assert.Equal(TinyShapes.Names[3], named.MustReturn(0).Output.Trim());
        Assert.True(File.Exists(_folder.File("checkpoint.pt")));

        var again = await FlamingoCommand.RunAsync("train", "--model", Shapes, "--data", _folder.File("examples.jsonl"), "--output",
            _folder.File("bridge"), "--steps", "60");
        Assert.Contains("bridge exists. Name another --output, or remove it.", again.MustReturn(1).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_run_that_is_killed_and_interrupted_ends_with_the_losses_of_one_left_alone()
    {
        string Source(string part) => RepositoryFiles.Path("tests", "reference", "families", "mpt7b", part);
        OpenFlamingoImport.Run(new OpenFlamingoSource(Source("vision"), Source("language"), Source("checkpoint.pt"), 2),
            _folder.File("model"), null, TestContext.Current.CancellationToken);
        string[] Train(string output) =>
        [
            "train", "--model", _folder.File("model"), "--data", _folder.File("examples.jsonl"), "--output", _folder.File(output),
            "--steps", "120", "--batch-tokens", "150", "--warm-up", "10", "--schedule", "cosine", "--save-every", "7", "--seed", "3",
        ];
        (await FlamingoCommand.SpawnAsync(_folder.Path, "", OneThread, Train("alone"))).MustReturn(0);

        var environment = OneThread.Select(one => (one.Key, one.Value)).ToList();
        await using (var killed = SpawnedCommand.Start(_folder.Path, environment, Train("stopped")))
            await killed.SaidAsync($"step {10 * Random(1, 4)}/120"); // Disposing kills the process.
        await using (var interrupted = SpawnedCommand.Start(_folder.Path, environment, [.. Train("stopped"), "--resume"]))
        {
            await interrupted.SaidAsync($"step {10 * Random(5, 8)}/120");
            interrupted.CtrlC();
            var said = await interrupted.SaidAsync("a checkpoint is in ");
            Assert.Equal(130, await interrupted.ExitAsync());
            Assert.Contains("Going on after step ", said, StringComparison.Ordinal);
        }

        Assert.False(Directory.Exists(_folder.File("stopped")));
        (await FlamingoCommand.SpawnAsync(_folder.Path, "", OneThread, [.. Train("stopped"), "--resume"])).MustReturn(0);
        Assert.Equal(Losses("alone"), Losses("stopped"));
        Assert.Equal(120, Losses("alone").Length);
        foreach (var name in new[] { "resampler.safetensors", "language.safetensors" })
            Assert.True(File.ReadAllBytes(_folder.File($"alone/{name}")).AsSpan().SequenceEqual(
                File.ReadAllBytes(_folder.File($"stopped/{name}"))), name);
    }

    [Theory]
    [InlineData("--data is missing. Give it, or --golden to replay recorded steps.", "--output", "out", "--steps", "3")]
    [InlineData("--output is missing.", "--data", "examples.jsonl", "--steps", "3")]
    [InlineData("--steps is missing.", "--data", "examples.jsonl", "--output", "out")]
    [InlineData("--steps", "--data", "examples.jsonl", "--output", "out", "--steps", "0")]
    [InlineData("--beta2", "--data", "examples.jsonl", "--output", "out", "--steps", "3", "--beta2", "1")]
    [InlineData("constant, linear", "--data", "examples.jsonl", "--output", "out", "--steps", "3", "--schedule", "none")]
    [InlineData("float32", "--data", "examples.jsonl", "--output", "out", "--steps", "3", "--dtype", "int8")]
    [InlineData("--learning-rate", "--data", "examples.jsonl", "--output", "out", "--steps", "3", "--learning-rate", "0")]
    [InlineData(".pt", "--data", "examples.jsonl", "--output", "out", "--steps", "3", "--export-openflamingo", "out.bin")]
    [InlineData("Name a file of episodes.", "--data", "examples.jsonl", "--output", "out", "--steps", "3", "--evaluate", "nowhere.jsonl")]
    public async Task A_wrong_option_is_a_matter_of_usage(string said, params string[] options) => Assert.Contains(said,
        (await FlamingoCommand.RunAsync(["train", "--model", Shapes, .. options])).MustReturn(2).Error, StringComparison.Ordinal);

    [Theory]
    [InlineData("nowhere.jsonl", "nowhere.jsonl")]
    [InlineData("examples.jsonl,loss=-1", "Write a number above 0, such as loss=0.2.")]
    [InlineData("examples.txt", ".jsonl")]
    public async Task Data_that_are_none_are_refused_with_the_remedy(string data, string said)
    {
        var finished = await FlamingoCommand.RunAsync(
            "train", "--model", Shapes, "--data", _folder.File(data), "--output", _folder.File("out"), "--steps", "3");
        Assert.Contains(said, finished.MustReturn(1).Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.File("out.run")));
    }

    private static int Random(int least, int most) => new Random(Environment.ProcessId + least).Next(least, most + 1);

    private string[] Losses(string output) => [.. File.ReadLines(_folder.File($"{output}.run/metrics.jsonl")).Select(line =>
    {
        using var json = JsonDocument.Parse(line);
        return $"{json.RootElement.GetProperty("step")} {json.RootElement.GetProperty("losses")} {json.RootElement.GetProperty("norm")}";
    })];
}
