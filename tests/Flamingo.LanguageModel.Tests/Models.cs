using System.Security.Cryptography;
using Flamingo.Checkpoints;
using Flamingo.Import;
using Flamingo.Import.Sources;
using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Execution;
using Flamingo.LanguageModel.Network;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.Modeling.Runtime;
using Flamingo.Modeling.Weights;
using Flamingo.Testing;
using Microsoft.Extensions.Options;
using TorchSharp;

[assembly: AssemblyFixture(typeof(Flamingo.LanguageModel.Tests.Models))]

namespace Flamingo.LanguageModel.Tests;

/// <summary>
/// Model directories and loaded stages that all tests share: the families, imported from their published form, and the committed
/// model shapes.
/// </summary>
public sealed class Models : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("flamingo-language-").FullName;
    private readonly Dictionary<string, ModelDirectory> _directories = [];
    private readonly Dictionary<string, LanguageModelStage> _stages = [];
    private readonly Lock _lock = new();

    public InferenceThread Thread { get; } = new(2);

    /// <summary>The digest of a tenant, in the form in which the gateway sends it.</summary>
    public static string Tenant(string name) => Convert.ToHexStringLower(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(name)));

    public ModelDirectory DirectoryOf(string family)
    {
        lock (_lock)
        {
            if (_directories.TryGetValue(family, out var known)) return known;
            return _directories[family] = family == "shapes"
                ? ModelDirectory.Open(RepositoryFiles.Path("models", "shapes"))
                : Import(family);
        }
    }

    public LanguageModelStage Stage(string family)
    {
        lock (_lock)
        {
            if (!_stages.TryGetValue(family, out var stage))
                stage = _stages[family] = NewStage(DirectoryOf(family), new LanguageModelOptions());
            return stage;
        }
    }

    /// <param name="thread">A thread for the stage. A test that counts the tensors of its thread passes its own; other tests
    /// share one.</param>
    public LanguageModelStage NewStage(
        ModelDirectory model, LanguageModelOptions options, string dtype = "float32", InferenceThread? thread = null,
        string storage = "native") =>
        new(
            model, thread ?? Thread, Options.Create(options), Options.Create(new ModelOptions { Dtype = dtype, WeightStorage = storage }),
            TimeProvider.System);

    /// <summary>Creates a runner with little memory. The caller keeps the ownership of the decoder.</summary>
    public TorchModelRunner NewRunner(Decoder decoder, string family, int blocks = 64, int slots = 8) => new(
        decoder, new ModelMemory(
            blocks, MemoryPlan.BlockTokens,
            slots), DirectoryOf(family).Config.Language.CrossAttention.Heads, DirectoryOf(family).Config.Resampler.Latents,
        Thread, new PagedAttention(Thread.Team));

    /// <summary>Creates a decoder from a copy of the family's weights, which <paramref name="change"/> may alter.</summary>
    public Decoder NewDecoder(
        string family, Func<LanguageConfig, LanguageConfig> config, Action<SafetensorsEntry, Span<byte>>? change = null, Func<string,
        bool>? ignore = null, torch.ScalarType dtype = torch.ScalarType.Float32, WeightStorage storage = WeightStorage.Native)
    {
        var model = DirectoryOf(family);
        var path = Path.Combine(_folder, $"{Guid.NewGuid():N}.safetensors");
        var bytes = File.ReadAllBytes(Path.Combine(model.Path, model.Config.Weights["language"].File));
        using (var original = model.OpenWeights("language"))
        {
            foreach (var entry in original.Entries.Values) change?.Invoke(entry, bytes.AsSpan((int)entry.Offset, (int)entry.Length));
        }

        File.WriteAllBytes(path, bytes);
        using var file = SafetensorsFile.Open(path);
        var weights = new WeightsReader(file, torch.CPU, dtype, storage, Thread.Team);
        var decoder = new Decoder(config(model.Config.Language), weights, torch.CPU);
        if (ignore is not null) weights.Ignore(ignore);
        weights.Finish();
        return decoder;
    }

    public void Dispose()
    {
        foreach (var stage in _stages.Values) stage.Dispose();
        Thread.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>A language model with the given settings and weights, for which there are no golden values.</summary>
    /// <param name="weights">Returns the values of a tensor, by its name.</param>
    public ModelDirectory Variant(
        string name, string of, Func<LanguageConfig, LanguageConfig> config, Func<string, SourceTensor, SourceTensor> weights)
    {
        var (model, folder) = (DirectoryOf(of), Directory.CreateDirectory(Path.Combine(_folder, name)).FullName);
        var file = new FileInfo(Path.Combine(folder, "language.safetensors"));
        using (var original = model.OpenWeights("language"))
        {
            var tensors = original.Entries.Values.ToDictionary(
                entry => entry.Name,
                entry => weights(entry.Name, new SourceTensor(entry.Name, entry.Dtype, entry.Shape, () => original.Read(entry).ToArray())));
            SafetensorsWriter.Write(file.FullName, tensors, null, (_, _) => { }, [], CancellationToken.None);
        }

        using var written = SafetensorsFile.Open(file.FullName);
        var digest = WeightsDigest.Compute(written, _ => true);
        File.Copy(model.TokenizerPath, Path.Combine(folder, ModelDirectory.TokenizerFile));
        ModelDirectory.WriteConfig(folder, model.Config with
        {
            ModelId = name, Language = config(model.Config.Language), Weights = new Dictionary<string, WeightsFile>
            {
                ["language"] = new(file.Name, file.Length, written.HeaderSha256, digest, digest)
            },
        });
        return ModelDirectory.Open(folder);
    }

    // A combination that no reference model has: two query heads for each head of keys and values, half of each head rotated, and
    // parallel residuals.
    private ModelDirectory Grouped() =>
        Variant("grouped", "llama", config => config with
        {
            KeyValueHeads = 2, RotaryFraction = 0.5, ParallelResidual = true
        }, (name, tensor) =>
        name.EndsWith("query_key_value.weight", StringComparison.Ordinal)
            ? tensor with { Shape = [128, 64], Read = () => [.. tensor.Read().Take(128 * 64 * sizeof(float))] }
            : tensor);

    private ModelDirectory Import(string family)
    {
        if (family == "grouped") return Grouped();
        if (family == "idefics")
            return IdeficsImport.Run(
                new IdeficsSource(RepositoryFiles.Path("tests", "reference", "families", family)), Path.Combine(_folder, family),
                progress: null, CancellationToken.None);
        string Source(string part) => RepositoryFiles.Path("tests", "reference", "families", family, part);
        var source = new OpenFlamingoSource(
            Source("vision"), Source("language"), Source("checkpoint.pt"),
            Golden.Root(family).GetProperty("cross_attn_every_n_layers").GetInt32());
        return OpenFlamingoImport.Run(source, Path.Combine(_folder, family), progress: null, CancellationToken.None);
    }
}
