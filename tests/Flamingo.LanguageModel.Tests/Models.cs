using Flamingo.Checkpoints;
using Flamingo.Import;
using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Execution;
using Flamingo.LanguageModel.Network;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.Modeling;
using Flamingo.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using TorchSharp;

[assembly: AssemblyFixture(typeof(Flamingo.LanguageModel.Tests.Models))]

namespace Flamingo.LanguageModel.Tests;

/// <summary>Model directories and loaded stages, made once for all tests: the families imported from their publications, shapes as committed.</summary>
public sealed class Models : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("flamingo-language-").FullName;
    private readonly Dictionary<string, ModelDirectory> _directories = [];
    private readonly Dictionary<string, LanguageModelStage> _stages = [];
    private readonly Lock _lock = new();

    public InferenceThread Thread { get; } = new(2);

    public ModelDirectory DirectoryOf(string family)
    {
        lock (_lock)
        {
            if (_directories.TryGetValue(family, out var known)) return known;
            return _directories[family] = family == "shapes" ? ModelDirectory.Open(RepositoryFiles.Path("models", "shapes")) : Import(family);
        }
    }

    public LanguageModelStage Stage(string family)
    {
        lock (_lock)
        {
            if (!_stages.TryGetValue(family, out var stage)) stage = _stages[family] = NewStage(DirectoryOf(family), new LanguageModelOptions());
            return stage;
        }
    }

    /// <param name="thread">A test that counts what lives on its thread brings its own; others share one.</param>
    public LanguageModelStage NewStage(ModelDirectory model, LanguageModelOptions options, string dtype = "float32", InferenceThread? thread = null) =>
        new(model, thread ?? Thread, Options.Create(options), Options.Create(new ModelOptions { Dtype = dtype }), TimeProvider.System, NullLogger<LanguageModelStage>.Instance);

    /// <summary>A runner with a little memory around a decoder that somebody else disposes.</summary>
    public TorchModelRunner NewRunner(Decoder decoder, string family, int blocks = 64, int slots = 8) => new(
        decoder, new ModelMemory(blocks, MemoryPlan.BlockTokens, slots), DirectoryOf(family).Config.Language.CrossAttention.Heads, DirectoryOf(family).Config.Resampler.Latents,
        Thread, torch.CPU, new PagedAttention(Thread.ComputeThreads));

    /// <summary>A decoder of its own, from a copy of the family's weights that <paramref name="change"/> may alter.</summary>
    public Decoder NewDecoder(string family, Func<LanguageConfig, LanguageConfig> config, Action<SafetensorsEntry, Span<byte>>? change = null, Func<string, bool>? ignore = null)
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
        var weights = new WeightsReader(file, torch.CPU, torch.ScalarType.Float32);
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

    private ModelDirectory Import(string family)
    {
        string Source(string part) => RepositoryFiles.Path("tests", "reference", "families", family, part);
        var source = new OpenFlamingoSource(Source("vision"), Source("language"), Source("checkpoint.pt"), Golden.Root(family).GetProperty("cross_attn_every_n_layers").GetInt32());
        return OpenFlamingoImport.Run(source, Path.Combine(_folder, family), progress: null, CancellationToken.None);
    }
}
