using Flamingo.Checkpoints;
using Flamingo.Import;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Testing;

[assembly: AssemblyFixture(typeof(Flamingo.Training.Tests.Models))]

namespace Flamingo.Training.Tests;

/// <summary>
/// Model directories that all tests share: the families, imported from their publications, and the repository's model shapes.
/// </summary>
public sealed class Models : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("flamingo-training-").FullName;
    private readonly Dictionary<string, ModelDirectory> _directories = [];
    private readonly Dictionary<string, JsonTokenizer> _tokenizers = [];
    private readonly Lock _lock = new();

    public ModelDirectory DirectoryOf(string family)
    {
        lock (_lock)
        {
            if (_directories.TryGetValue(family, out var known)) return known;
            return _directories[family] =
                family == "shapes" ? ModelDirectory.Open(RepositoryFiles.Path("models", "shapes")) : Import(family);
        }
    }

    public JsonTokenizer TokenizerOf(string family)
    {
        var model = DirectoryOf(family);
        lock (_lock)
            return _tokenizers.TryGetValue(family, out var known) ? known
                : _tokenizers[family] = JsonTokenizer.Load(model.TokenizerPath);
    }

    /// <summary>Creates an empty folder, which is deleted after all tests.</summary>
    public string NewFolder() => Directory.CreateDirectory(Path.Combine(_folder, Guid.NewGuid().ToString("N"))).FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

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
