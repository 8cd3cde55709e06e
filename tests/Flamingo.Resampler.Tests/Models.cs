using Flamingo.Checkpoints;
using Flamingo.Import;
using Flamingo.Modeling.Runtime;
using Flamingo.Modeling.Weights;
using Flamingo.Resampler.Execution;
using Flamingo.Testing;
using Microsoft.Extensions.Options;

[assembly: AssemblyFixture(typeof(Flamingo.Resampler.Tests.Models))]

namespace Flamingo.Resampler.Tests;

/// <summary>
/// Model directories and loaded stages that all tests share. The families are imported from their publications; the model named shapes is
/// that of the repository.
/// </summary>
public sealed class Models : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("flamingo-resampler-").FullName;
    private readonly Dictionary<string, ModelDirectory> _directories = [];
    private readonly Dictionary<string, ResamplerStage> _stages = [];
    private readonly Lock _lock = new();

    public InferenceThread Thread { get; } = new(2);

    public ModelDirectory DirectoryOf(string family)
    {
        lock (_lock)
        {
            if (_directories.TryGetValue(family, out var known)) return known;
            return _directories[family] =
                family == "shapes" ? ModelDirectory.Open(RepositoryFiles.Path("models", "shapes")) : Import(family);
        }
    }

    public ResamplerStage Stage(string family)
    {
        lock (_lock)
        {
            if (!_stages.TryGetValue(family, out var stage))
                stage = _stages[family] = NewStage(DirectoryOf(family), new ResamplerOptions());
            return stage;
        }
    }

    /// <summary>Loads a stage, which the caller disposes.</summary>
    /// <param name="model">The model directory.</param>
    /// <param name="options">Options of the stage.</param>
    /// <param name="thread">Thread to run on. A test that counts live tensors passes its own; null takes the shared thread.</param>
    /// <param name="dtype">Dtype of the weights.</param>
    /// <param name="storage">Storage of the weights: native or int8.</param>
    public ResamplerStage NewStage(ModelDirectory model, ResamplerOptions options, InferenceThread? thread = null, string dtype = "float32",
        string storage = "native") =>
        new(model, thread ?? Thread, Options.Create(options), Options.Create(new ModelOptions { Dtype = dtype, WeightStorage = storage }),
            TimeProvider.System);

    /// <summary>Copies the model directory of a family with a changed configuration.</summary>
    public ModelDirectory Altered(string family, Func<ModelConfig, ModelConfig> change)
    {
        var original = DirectoryOf(family);
        var copy = NewFolder();
        foreach (var file in Directory.GetFiles(original.Path, "*.safetensors"))
            File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        ModelDirectory.WriteConfig(copy, change(original.Config));
        return ModelDirectory.Open(copy);
    }

    /// <summary>Creates an empty folder, which is deleted after all tests.</summary>
    public string NewFolder() => Directory.CreateDirectory(Path.Combine(_folder, Guid.NewGuid().ToString("N"))).FullName;

    public void Dispose()
    {
        foreach (var stage in _stages.Values) stage.Dispose();
        Thread.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private ModelDirectory Import(string family)
    {
        string Source(params string[] part) => RepositoryFiles.Path(["tests", "reference", "families", family, .. part]);
        if (family == "idefics")
            return IdeficsImport.Run(new IdeficsSource(Source()), Path.Combine(_folder, family), progress: null, CancellationToken.None);
        var source = new OpenFlamingoSource(Source("vision"), Source("language"), Source("checkpoint.pt"),
            family switch { "mpt1b" => 1, "pythia" => 4, _ => 2 });
        return OpenFlamingoImport.Run(source, Path.Combine(_folder, family), progress: null, CancellationToken.None);
    }
}
