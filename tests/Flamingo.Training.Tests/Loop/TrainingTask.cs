using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Testing;
using Flamingo.Training.Data;
using Flamingo.Training.Loop;

namespace Flamingo.Training.Tests.Loop;

/// <summary>A training of a small model on a few pictures, in a folder of its own.</summary>
internal sealed class TrainingTask
{
    private readonly Models _models;

    public TrainingTask(Models models, string family = "mpt7b", int examples = 24, bool described = true)
    {
        (_models, Folder) = (models, models.NewFolder());
        Examples = TinyShapes.Examples(Folder, examples, described);
        Request = new TrainingRequest
        {
            Model = models.DirectoryOf(family), Data = [DataSpec.Parse(Examples)], Output = Path.Combine(Folder, "out"),
            Options = new TrainingOptions
            {
                Steps = 12, BatchTokens = 150, WarmUp = 2, LearningRate = 1e-3, SaveEvery = 5, EvaluateEvery = 4, ReportEvery = 1,
            },
            Command = "flamingo train as a test",
        };
    }

    public string Folder { get; }

    public string Examples { get; }

    public TrainingRequest Request { get; set; }

    public List<string> Printed { get; } = [];

    public Func<string, long>? FreeDisk { get; init; }

    public string RunPath => $"{Request.Output}.run";

    /// <summary>Shards of pairs, whose pictures are flipped, as a second stream with another factor.</summary>
    public void AddPairs()
    {
        var pairs = Enumerable.Range(0, 20).SelectMany(index => new (string, byte[])[]
        {
            ($"{index}.png", TinyShapes.Picture(index % 8)), Data.Shard.Text($"{index}.txt", TinyShapes.Names[index % 8]),
        });
        var path = Data.Shard.Write(Folder, "pairs-0.tar", pairs);
        Request = Request with { Data = [.. Request.Data, DataSpec.Parse($"{path},loss=0.2")] };
    }

    /// <summary>Runs until the end, or until the line of a step was printed.</summary>
    /// <returns>Whether the run reached its end.</returns>
    public bool Run(int? cancelAfter = null)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        return new TrainingJob(Request, line =>
        {
            Printed.Add(line);
            if (cancelAfter is { } step && line.StartsWith($"step {step}/", StringComparison.Ordinal)) stop.Cancel();
        }, TimeProvider.System, FreeDisk).Run(stop.Token);
    }

    /// <summary>Runs, and returns why it was refused.</summary>
    public string Fault() => Assert.Throws<CheckpointException>(() => Run()).Message;

    public JsonElement[] Lines() =>
        [.. File.ReadLines(Path.Combine(RunPath, "metrics.jsonl")).Select(line => JsonDocument.Parse(line).RootElement)];

    /// <summary>What metrics.jsonl says of every step, without times and rates per second, and of every measurement.</summary>
    public string[] Metrics() => [.. Lines().Select(line => string.Join(' ',
        new[] { "step", "losses", "norm", "rate", "tokens", "accuracy" }.Where(name => line.TryGetProperty(name, out _))
            .Select(name => $"{name} {line.GetProperty(name).GetRawText()}")))];

    /// <summary>Losses of the first stream by step.</summary>
    public double[] Losses() => [.. Lines().Where(line => line.TryGetProperty("losses", out _))
        .Select(line => line.GetProperty("losses").EnumerateObject().First().Value.GetDouble())];

    /// <summary>Bytes of the result's tensors by name.</summary>
    public Dictionary<string, byte[]> Result() => Tensors(ModelDirectory.Open(Request.Output));

    public static Dictionary<string, byte[]> Tensors(ModelDirectory model)
    {
        var tensors = new Dictionary<string, byte[]>();
        foreach (var part in new[] { "vision", "resampler", "language" })
        {
            using var file = model.OpenWeights(part);
            foreach (var entry in file.Entries.Values)
            {
                var bytes = tensors[$"{part}.{entry.Name}"] = new byte[entry.Length];
                file.Copy(entry, 0, bytes);
            }
        }

        return tensors;
    }
}
