using Flamingo.Checkpoints;
using Flamingo.Import.Sources;
using Flamingo.Training.Network;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Training.Results;

/// <summary>
/// The tensors of a model after training, by canonical name: those of the model that training began with, with the trained values in
/// their places. Elements are read one tensor at a time, until this is disposed.
/// </summary>
public sealed class TrainedTensors : IDisposable
{
    private const string Embedding = "token_embedding.weight";
    private readonly SafetensorsFile _resampler, _language;

    /// <param name="start">The model that training began with.</param>
    /// <param name="weights">The trained values; null for those of <paramref name="start"/>.</param>
    /// <param name="dtype">
    /// Dtype of the trained tensors, and of the token embedding if rows of it were trained: F32, F16 or BF16. Null keeps the dtype that
    /// each tensor has in <paramref name="start"/>. Frozen tensors always keep theirs.
    /// </param>
    /// <exception cref="CheckpointException">A file is missing or damaged, or there is no such dtype.</exception>
    public TrainedTensors(ModelDirectory start, BridgeWeights? weights, string? dtype = null)
    {
        if (dtype is not null && !WeightDtypes.All.Contains(dtype))
            throw new CheckpointException($"'{dtype}' is not a dtype of weights; take one of {string.Join(", ", WeightDtypes.All)}.");
        (_resampler, _language) = (start.OpenWeights("resampler"), start.OpenWeights("language"));
        Resampler = _resampler.Entries.Values.ToDictionary(entry => entry.Name, entry =>
            Find(weights, BridgeWeights.Resampler + entry.Name) is { } trained
                ? Trained(entry, dtype, trained) : Stored(_resampler, entry));
        Language = _language.Entries.Values.ToDictionary(entry => entry.Name, entry =>
            Find(weights, entry.Name) is { } trained ? Trained(entry, dtype, trained)
                : entry.Name == Embedding && Find(weights, BridgeWeights.Rows) is { } rows
                    ? WithRows(entry, dtype, weights!.SpecialIds, rows) : Stored(_language, entry));
    }

    /// <summary>Tensors of the resampler.</summary>
    public IReadOnlyDictionary<string, SourceTensor> Resampler { get; }

    /// <summary>Tensors of the language model, gated blocks included.</summary>
    public IReadOnlyDictionary<string, SourceTensor> Language { get; }

    public void Dispose()
    {
        _resampler.Dispose();
        _language.Dispose();
    }

    private static Tensor? Find(BridgeWeights? weights, string name) => weights?.Trained.GetValueOrDefault(name);

    private static SourceTensor Stored(SafetensorsFile file, SafetensorsEntry entry) =>
        new(entry.Name, entry.Dtype, entry.Shape, () => Copy(file, entry));

    private static SourceTensor Trained(SafetensorsEntry entry, string? dtype, Tensor values) =>
        new(entry.Name, dtype ?? entry.Dtype, entry.Shape, () => Bytes(values, dtype ?? entry.Dtype));

    private SourceTensor WithRows(SafetensorsEntry entry, string? dtype, long[] ids, Tensor rows)
    {
        var to = dtype ?? entry.Dtype;
        return new SourceTensor(entry.Name, to, entry.Shape, () =>
        {
            var bytes = WeightDtypes.Convert(Copy(_language, entry), entry.Dtype, to);
            var (trained, size) = (Bytes(rows, to), bytes.Length / (int)entry.Shape[0]);
            foreach (var (row, id) in ids.Index()) trained.AsSpan(row * size, size).CopyTo(bytes.AsSpan((int)id * size));
            return bytes;
        });
    }

    private static byte[] Copy(SafetensorsFile file, SafetensorsEntry entry)
    {
        var bytes = GC.AllocateUninitializedArray<byte>(checked((int)entry.Length));
        file.Copy(entry, 0, bytes);
        return bytes;
    }

    private static byte[] Bytes(Tensor values, string dtype)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var stored = values.detach().to(CPU).contiguous();
        return WeightDtypes.Convert(stored.bytes.ToArray(), "F32", dtype);
    }
}
