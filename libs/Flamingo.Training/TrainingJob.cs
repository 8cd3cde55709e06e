using System.Globalization;
using System.Text.Json.Nodes;
using Flamingo.Checkpoints;
using Flamingo.Evaluation.Datasets;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Modeling.Memory;
using Flamingo.Training.Data;
using Flamingo.Training.Evaluation;
using Flamingo.Training.Loop;
using Flamingo.Training.Network;
using Flamingo.Training.Results;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Training;

/// <summary>What <c>flamingo train</c> is told.</summary>
public sealed record TrainingRequest
{
    /// <summary>The model that training begins with.</summary>
    public required ModelDirectory Model { get; init; }

    /// <summary>At least one stream.</summary>
    public required IReadOnlyList<DataSpec> Data { get; init; }

    /// <summary>The model directory that is written. Beside it, <c>OUTPUT.run</c> holds metrics, curves and checkpoints.</summary>
    public required string Output { get; init; }

    public required TrainingOptions Options { get; init; }

    public DataOptions DataOptions { get; init; } = new();

    /// <summary>Dtype of the computation and of the frozen weights: float32 or bfloat16.</summary>
    public ScalarType Dtype { get; init; } = ScalarType.Float32;

    /// <summary>Seed of a new resampler and new gated blocks; null begins with those of the model.</summary>
    public long? NewBridge { get; init; }

    /// <summary>A checkpoint.pt of OpenFlamingo to write beside the result; null writes none.</summary>
    public string? ExportOpenFlamingo { get; init; }

    /// <summary>Whether the run goes on from its newest checkpoint.</summary>
    public bool Resume { get; init; }

    /// <summary>Held-out episodes; null measures nothing.</summary>
    public string? Evaluate { get; init; }

    /// <summary>Folder in which features of pictures are kept; null keeps them in memory only.</summary>
    public string? CacheFeatures { get; init; }

    /// <summary>The command line, for the result's provenance.</summary>
    public string Command { get; init; } = "";
}

/// <summary>Trains the bridge of a model: everything from reading options to the written result.</summary>
/// <param name="request">What is trained, on what and how.</param>
/// <param name="print">Takes lines for a person.</param>
/// <param name="time">Measures the run.</param>
/// <param name="freeDisk">Free bytes of the disk of a folder that exists; null asks the disk itself.</param>
public sealed class TrainingJob(TrainingRequest request, Action<string> print, TimeProvider time, Func<string, long>? freeDisk = null)
{
    private const long Spare = 64 << 20; // bytes of the disk that stay free

    /// <returns>Whether the run reached its end; false if it was cancelled, with a checkpoint written.</returns>
    /// <exception cref="BenchmarkException">The file of episodes has faults.</exception>
    /// <exception cref="CheckpointException">Something is missing, does not fit, or broke; the message has the remedy.</exception>
    public bool Run(CancellationToken cancellation)
    {
        var (model, options) = (request.Model, request.Options);
        options.Check();
        if (request.Data.Count == 0) throw new CheckpointException("--data is missing. Name a .jsonl file or tars.");
        if (Path.Exists(request.Output)) throw new CheckpointException($"{request.Output} exists. Name another --output, or remove it.");
        if (request.ExportOpenFlamingo is { } exported)
        {
            OpenFlamingoExport.ThrowIfOther(model.Config);
            if (Path.Exists(exported))
                throw new CheckpointException($"{exported} exists. Name another file for --export-openflamingo, or remove it.");
        }

        var (need, available) = (
            TrainingMemory.Of(model, options, request.Dtype, request.Data.Count, request.DataOptions), AvailableMemory.OfThisProcess().Bytes);
        print($"Memory: {need}; {MemoryReport.Size(available)} may be used.");
        if (need.Bytes > available)
            throw new CheckpointException($"Training needs {MemoryReport.Size(need.Bytes)} of memory, and {MemoryReport.Size(available)} "
                + $"may be used: {need}. Lower --batch-tokens, or set --recompute and --dtype bfloat16.");
        CheckDisk(need.Learnt);
        print(TrainingWork.Of(model).Forecast(request.Dtype, time));
        var episodes = request.Evaluate is { } file ? Episodes.Read(file).Queries : [];
        using var folder = new RunFolder($"{Path.TrimEndingDirectorySeparator(request.Output)}.run");
        var settings = Settings();
        var state = folder.Newest();
        if (state is not null && !request.Resume)
            throw new CheckpointException($"{folder.Path} holds a run of {state.Step} steps. Go on with --resume, or remove the folder.");
        if (state is not null && state.Settings != settings)
            throw new CheckpointException($"The run in {folder.Path} had other settings:\n  {state.Settings}\nnow:\n  {settings}\n"
                + "Give the same settings, or another --output.");

        using var weights = new BridgeWeights(model, request.Dtype);
        var tokenizer = JsonTokenizer.Load(model.TokenizerPath);
        var report = new DataReport(request.DataOptions);
        using var source = new FeatureSource(model, request.Dtype, new FeatureOptions
        {
            Folder = request.CacheFeatures, MemoryBytes = Math.Clamp((available - need.Bytes) / 2, FeatureOptions.LeastMemoryBytes, 2L << 30),
        });
        var encoder = new SequenceEncoder(model.Config, tokenizer, request.DataOptions);
        var streams = request.Data.Select((spec, index) => Stream(spec, index, encoder, source, report, cancellation)).ToList();
        using var run = new TrainingRun(model.Config, weights, streams, source.Read, new TextTwins(model.Config.Tokens, tokenizer),
            options, time);
        var begun = state is not null;
        state ??= new RunState(0, TimeSpan.Zero, [.. streams.Select(_ => StreamPosition.Start)], settings);
        if (begun) folder.Load(weights, run.Trainer.Optimizer, state);
        else if (request.NewBridge is { } seed) weights.Renew(seed);
        print(begun ? $"Going on after step {state.Step}."
            : $"{weights.Trained.Values.Sum(parameter => parameter.numel()):N0} weights are trained on {streams.Count} "
                + $"stream{(streams.Count == 1 ? "" : "s")}.");

        using var metrics = new RunMetrics(folder.Metrics, begun ? state.Step : null);
        var measure = new HeldOutMeasure(model.Config, run.Trainer.Network, tokenizer, source.Read);
        var meter = new RunMeter(options, state, [.. streams.Select(stream => stream.Name)], metrics, print);
        if (state.Step % options.EvaluateEvery == 0) Measure();
        state = run.Run(state, (step, after) =>
        {
            meter.Add(step);
            state = after;
            if (step.Step % options.EvaluateEvery == 0) Measure();
            if (step.Step % options.SaveEvery != 0) return;
            folder.Save(weights, run.Trainer.Optimizer, after);
            metrics.Draw();
        }, cancellation);
        folder.Save(weights, run.Trainer.Optimizer, state);
        if (!cancellation.IsCancellationRequested) Measure();
        metrics.Draw();
        print($"{report}{report.Named()}");
        if (source.FolderFault is { } fault) print(fault);
        if (cancellation.IsCancellationRequested)
        {
            print($"Stopped after step {state.Step}; a checkpoint is in {folder.Path}. Go on with --resume.");
            return false;
        }

        if (FrozenWeights.Moved(model, weights) is { Count: > 0 } moved)
            throw new CheckpointException($"Frozen weights moved, which is a defect of this program: {string.Join(", ", moved.Take(5))}.");
        TrainedModel.Write(model, weights, request.Output, $"{request.Command}; {state.Step} steps; {settings}", cancellation);
        if (request.ExportOpenFlamingo is { } export) OpenFlamingoExport.Write(model, weights, export, cancellation);
        print($"The trained model is in {request.Output}. Serve it with: flamingo serve --model {request.Output}");
        return true;

        // A measurement that is cancelled is made again by the resumption.
        void Measure()
        {
            if (episodes.Count == 0 || metrics.IsMeasured(state!.Step)) return;
            IReadOnlyDictionary<string, (double Accuracy, int Count)> results;
            try
            {
                results = measure.Run(episodes, cancellation);
            }
            catch (OperationCanceledException)
            {
                return;
            }

            metrics.Add(new JsonObject
            {
                ["step"] = state.Step,
                ["accuracy"] = new JsonObject(results.Select(one => KeyValuePair.Create(one.Key, (JsonNode?)one.Value.Accuracy))),
            });
            foreach (var (name, (accuracy, count)) in results)
                print(string.Create(CultureInfo.InvariantCulture, $"  {name,-32} {accuracy:F3} of {count}"));
        }
    }

    private TrainingStream Stream(DataSpec spec, int index, SequenceEncoder encoder, FeatureSource source, DataReport report,
        CancellationToken cancellation)
    {
        var seed = request.Options.Seed + (ulong)index;
        var stream = new DataStream(spec, encoder, request.DataOptions, seed, report);
        return new TrainingStream(Path.GetFileName(spec.Path), spec.LossMultiplier, new BatchPlan(
            skip => stream.Read(skip, cancellation), sequence => source.CanRead(sequence, report), request.Options.BatchTokens, seed));
    }

    // What changes losses. Paths may move, and a run may be made longer.
    private string Settings()
    {
        var options = request.Options with { Steps = 1, Limit = null, SaveEvery = 1, EvaluateEvery = 1, ReportEvery = 1 };
        return $"{options}, {request.DataOptions}, {request.Dtype}, {(request.NewBridge is { } seed ? $"new bridge {seed}, " : "")}"
            + $"{string.Join(" ", request.Data.Select(spec => $"{Path.GetFileName(spec.Path)} x {spec.LossMultiplier}"))}, "
            + $"from {string.Join(" ", request.Model.Config.Weights.OrderBy(part => part.Key, StringComparer.Ordinal)
                .Select(part => part.Value.Digest[..12]))}";
    }

    private void CheckDisk(long learnt)
    {
        // Weights and moments of three checkpoints, one of which is being written, and the result with its frozen parts.
        var need = (learnt * sizeof(float) * 3 * 3) + Spare + Directory.GetFiles(request.Model.Path).Sum(file => new FileInfo(file).Length)
            + (request.ExportOpenFlamingo is null ? 0 : learnt * sizeof(float));
        var folder = Path.GetFullPath(request.Output);
        while (!Directory.Exists(folder)) folder = Path.GetDirectoryName(folder)!;
        var free = freeDisk?.Invoke(folder) ?? new DriveInfo(folder).AvailableFreeSpace;
        if (need > free)
            throw new CheckpointException($"Checkpoints and the result need {MemoryReport.Size(need)} of disk, and "
                + $"{MemoryReport.Size(free)} are free at {folder}. Free some space, or name another --output.");
    }
}
