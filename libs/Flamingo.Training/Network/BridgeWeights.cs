using Flamingo.Checkpoints;
using Flamingo.Import.OpenFlamingo;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Flamingo.Training.Network;

/// <summary>
/// The weights of a bridge in training, by canonical name (see Flamingo.Checkpoints/NAMES.md; names of the resampler begin with
/// <c>resampler.</c>). The resampler, the gated blocks and two rows of the token embedding are trained in f32. Everything else is frozen,
/// in the dtype of the computation.
/// </summary>
public sealed class BridgeWeights : IDisposable
{
    /// <summary>Prefix of the resampler's weights.</summary>
    public const string Resampler = "resampler.";

    /// <summary>
    /// Name of the trained rows of the token embedding, [2, width]: those of the tokens that end a chunk and that mark a picture, in this
    /// order.
    /// </summary>
    public const string Rows = "token_embedding.rows";

    private readonly Dictionary<string, Tensor> _frozen = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, Parameter> _trained = new(StringComparer.Ordinal);

    /// <param name="model">The model whose weights are read.</param>
    /// <param name="dtype">Dtype of the frozen weights: float32 or bfloat16.</param>
    /// <param name="trainsRows">Whether the two rows of the token embedding are trained.</param>
    /// <exception cref="CheckpointException">A file is missing or damaged.</exception>
    public BridgeWeights(ModelDirectory model, ScalarType dtype, bool trainsRows = true)
    {
        Dtype = dtype;
        SpecialIds = [model.Config.Tokens.EndOfChunk.Id, model.Config.Tokens.Image.Id];
        using var scope = NewDisposeScope();
        using (var resampler = model.OpenWeights("resampler"))
            foreach (var entry in resampler.Entries.Values) Train(Resampler + entry.Name, Read(resampler, entry));
        using (var language = model.OpenWeights("language"))
            foreach (var entry in language.Entries.Values)
                if (IsGated(entry.Name)) Train(entry.Name, Read(language, entry));
                else _frozen[entry.Name] = Read(language, entry).to(dtype).DetachFromDisposeScope();
        if (trainsRows)
            Train(Rows, _frozen["token_embedding.weight"].index_select(0, tensor(SpecialIds)).to(ScalarType.Float32));
    }

    /// <summary>Dtype of the computation and of the frozen weights.</summary>
    public ScalarType Dtype { get; }

    /// <summary>Ids of the tokens that end a chunk and that mark a picture.</summary>
    public long[] SpecialIds { get; }

    /// <summary>What learns, f32, in the order of the names.</summary>
    public IReadOnlyDictionary<string, Parameter> Trained => _trained;

    /// <summary>What does not change.</summary>
    public IReadOnlyDictionary<string, Tensor> Frozen => _frozen;

    /// <summary>Whether a weight of the language model belongs to a gated block.</summary>
    public static bool IsGated(string name) => name.Contains(".gated_cross_attention.", StringComparison.Ordinal);

    /// <summary>Returns a weight in the dtype of the computation; the caller's scope frees it.</summary>
    /// <exception cref="KeyNotFoundException">The model has no such weight.</exception>
    public Tensor this[string name] => Find(name) ?? throw new KeyNotFoundException($"The model has no weight {name}.");

    /// <summary>Returns a weight in the dtype of the computation, or null if the model has no such weight (a bias, for example).</summary>
    public Tensor? Find(string name) => _trained.TryGetValue(name, out var trained)
        ? trained.to(Dtype)
        : _frozen.TryGetValue(name, out var frozen) ? frozen.alias() : null;

    /// <summary>
    /// Gives the resampler and the gated blocks new values, as an untrained OpenFlamingo has them, so that only the frozen parts of the
    /// model
    /// remain. Gates are zero: the model then computes what its language model alone computes.
    /// </summary>
    /// <param name="seed">Equal seeds give equal values.</param>
    public void Renew(long seed)
    {
        using var unrecorded = no_grad();
        foreach (var (name, parameter) in _trained)
        {
            if (name == Rows) continue;
            var (random, values) = (new SeededValues(seed, name), new float[parameter.numel()]);
            var bound = parameter.dim() == 2 ? 1 / Math.Sqrt(parameter.shape[1]) : 0;
            for (var at = 0; at < values.Length; at++) values[at] = (parameter.dim(), name) switch
            {
                (1, _) when name.EndsWith(".weight", StringComparison.Ordinal) => 1, // a norm
                (1, _) => 0, // biases and gates
                (2, _) when name.EndsWith(".weight", StringComparison.Ordinal) => (float)(((2 * random.Uniform(at)) - 1) * bound),
                _ => (float)random.Normal(at), // latents and embeddings
            };
            using var renewed = tensor(values, parameter.shape);
            parameter.copy_(renewed);
        }
    }

    public void Dispose()
    {
        foreach (var tensor in _frozen.Values) tensor.Dispose();
        foreach (var tensor in _trained.Values) tensor.Dispose();
    }

    /// <summary>Reads a tensor of a file, which may be F32, F16 or BF16.</summary>
    internal static Tensor Read(SafetensorsFile file, SafetensorsEntry entry)
    {
        var stored = empty([.. entry.Shape], entry.Dtype switch
        {
            "F32" => ScalarType.Float32,
            "F16" => ScalarType.Float16,
            "BF16" => ScalarType.BFloat16,
            _ => throw new CheckpointException($"{file.Path}: {entry.Name} has dtype {entry.Dtype}; weights are F32, F16 or BF16."),
        });
        if (entry.Length > 0) file.Read(entry).CopyTo(stored.bytes);
        return stored;
    }

    private void Train(string name, Tensor start) =>
        _trained[name] = new Parameter(start.to(ScalarType.Float32).clone().DetachFromDisposeScope(), requires_grad: true);
}
