using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Import;
using Flamingo.Import.Sources;
using Flamingo.Training.Network;
using static TorchSharp.torch;

namespace Flamingo.Training.Loop;

/// <summary>What a run needs to go on, beside its tensors.</summary>
/// <param name="Step">Steps that were taken.</param>
/// <param name="Elapsed">Time of the run so far.</param>
/// <param name="Streams">Where each stream stands, in the order of the command line.</param>
/// <param name="Settings">The settings that change losses, as text; a resumption with other settings is refused.</param>
public sealed record RunState(long Step, TimeSpan Elapsed, IReadOnlyList<StreamPosition> Streams, string Settings);

/// <summary>
/// The folder of a run: metrics.jsonl, curves, and checkpoints, of which the last two are kept. A checkpoint is written beside its place
/// and renamed, so that it is whole whenever it has its name. One process at a time may hold the folder.
/// </summary>
public sealed class RunFolder : IDisposable
{
    private const int Kept = 2;
    private const string Tensors = "trained.safetensors", State = "state.json";

    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    private readonly FileStream _lock;

    /// <exception cref="CheckpointException">Another process holds the folder, or it cannot be written.</exception>
    public RunFolder(string path)
    {
        Path = path;
        try
        {
            Directory.CreateDirectory(path);
            _lock = new FileStream(System.IO.Path.Combine(path, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{path} cannot be held: {exception.Message} If another run is at work there, wait for it or "
                + "name another --output.", exception);
        }

        foreach (var unfinished in Directory.GetDirectories(path, "*.unfinished")) Directory.Delete(unfinished, recursive: true);
    }

    public string Path { get; }

    public string Metrics => System.IO.Path.Combine(Path, "metrics.jsonl");

    /// <summary>The state of the newest checkpoint; null if there is none.</summary>
    /// <exception cref="CheckpointException">The newest checkpoint is damaged.</exception>
    public RunState? Newest()
    {
        if (Checkpoints().LastOrDefault() is not { } newest) return null;
        var file = System.IO.Path.Combine(newest, State);
        try
        {
            var state = JsonSerializer.Deserialize<RunState>(File.ReadAllBytes(file), Json);
            return state is { Streams: not null, Settings: not null } ? state : throw new JsonException("fields are missing");
        }
        catch (Exception exception) when (exception is JsonException or IOException)
        {
            throw new CheckpointException($"{file} is damaged. Delete {newest} to go on from the checkpoint before it.", exception);
        }
    }

    /// <summary>Puts the newest checkpoint's tensors into weights and optimizer.</summary>
    /// <exception cref="CheckpointException">They are damaged, or those of another model.</exception>
    public void Load(BridgeWeights weights, AdamW optimizer, RunState state)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var file = Open(Checkpoints().Last());
        foreach (var (name, tensor) in All(weights, optimizer))
        {
            if (!file.Entries.TryGetValue(name, out var entry) || !entry.Shape.SequenceEqual(tensor.shape))
                throw new CheckpointException($"{file.Path} has no {name} of the shape [{string.Join(", ", tensor.shape)}]: "
                    + "it belongs to another model. Name another --output.");
            using var stored = BridgeWeights.Read(file, entry);
            tensor.copy_(stored);
        }

        optimizer.Steps = state.Step;
    }

    /// <summary>Writes a checkpoint and deletes old ones.</summary>
    /// <exception cref="CheckpointException">
    /// A weight is not finite, or the disk takes no more. The checkpoints before it remain.
    /// </exception>
    public void Save(BridgeWeights weights, AdamW optimizer, RunState state)
    {
        try
        {
            Write(weights, optimizer, state);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"The checkpoint of step {state.Step} cannot be written: {exception.Message} Free some space in "
                + $"{Path}, and go on with --resume.", exception);
        }
    }

    public void Dispose() => _lock.Dispose();

    private void Write(BridgeWeights weights, AdamW optimizer, RunState state)
    {
        var place = System.IO.Path.Combine(Path, $"step-{state.Step:D8}");
        if (Directory.Exists(place)) return;
        var unfinished = $"{place}.unfinished";
        Directory.CreateDirectory(unfinished);
        var tensors = All(weights, optimizer).ToDictionary(
            one => one.Name,
            one => new SourceTensor(one.Name, "F32", one.Tensor.shape, () => one.Tensor.bytes.ToArray()));
        var faults = new List<string>();
        SafetensorsWriter.Write(System.IO.Path.Combine(unfinished, Tensors), tensors, null, (_, _) => { }, faults, CancellationToken.None);
        if (faults.Count > 0)
            throw new CheckpointException(
                $"After step {state.Step} a trained weight is not finite: {faults[0]}. Lower --learning-rate and name another --output.");
        File.WriteAllBytes(System.IO.Path.Combine(unfinished, State), JsonSerializer.SerializeToUtf8Bytes(state, Json));
        foreach (var file in Directory.GetFiles(unfinished)) Flush(file);
        Directory.Move(unfinished, place);
        foreach (var old in Checkpoints().SkipLast(Kept)) Directory.Delete(old, recursive: true);
    }

    private static SafetensorsFile Open(string checkpoint)
    {
        try
        {
            return SafetensorsFile.Open(System.IO.Path.Combine(checkpoint, Tensors));
        }
        catch (Exception exception) when (exception is CheckpointException or IOException)
        {
            throw new CheckpointException(
                $"{exception.Message} Delete {checkpoint} to go on from the checkpoint before it.", exception);
        }
    }

    private static IEnumerable<(string Name, Tensor Tensor)> All(BridgeWeights weights, AdamW optimizer) =>
    [
        .. weights.Trained.Select(one => (one.Key, (Tensor)one.Value)),
        .. optimizer.Moments.Select(one => ($"first.{one.Key}", one.Value.First)),
        .. optimizer.Moments.Select(one => ($"second.{one.Key}", one.Value.Second)),
    ];

    private static void Flush(string file)
    {
        using var stream = File.Open(file, FileMode.Open, FileAccess.ReadWrite);
        stream.Flush(flushToDisk: true);
    }

    private IEnumerable<string> Checkpoints() => Directory.GetDirectories(Path, "step-????????").Order(StringComparer.Ordinal);
}
