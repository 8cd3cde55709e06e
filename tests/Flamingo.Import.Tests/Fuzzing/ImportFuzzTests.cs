using Flamingo.Checkpoints;
using Flamingo.Testing;
using Flamingo.Testing.Fuzzing;

namespace Flamingo.Import.Tests.Fuzzing;

/// <summary>
/// Imports publications of which one file is damaged. The import must end with an error that names the file or its content, or with a
/// complete model directory; it must never leave an incomplete one.
/// </summary>
public sealed class ImportFuzzTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("language/config.json", 31, 300)]
    [InlineData("vision/open_clip_config.json", 32, 300)]
    [InlineData("language/model.safetensors.index.json", 33, 200)]
    [InlineData("language/tokenizer.json", 34, 300)]
    [InlineData("language/tokenizer.model", 35, 300)]
    [InlineData("language/tokenizer_config.json", 36, 50)]
    [InlineData("language/model-00001-of-00002.safetensors", 37, 200)]
    [InlineData("vision/open_clip_pytorch_model.bin", 38, 200)]
    [InlineData("checkpoint.pt", 39, 300)]
    public void OpenFlamingo(string name, int seed, int tries)
    {
        var source = TinyPublication.Write(_folder["source"], sentencePiece: name.EndsWith(".model", StringComparison.Ordinal));
        Spoil(_folder[$"source/{name}"], seed, tries, output => OpenFlamingoImport.Run(source, output, null, CancellationToken.None));
    }

    [Theory]
    [InlineData("config.json", 41, 60)]
    [InlineData("preprocessor_config.json", 42, 20)]
    [InlineData("model-00004-of-00004.safetensors", 43, 20)]
    public void Idefics(string name, int seed, int tries)
    {
        var source = Directory.CreateDirectory(_folder["source"]).FullName;
        foreach (var file in Directory.GetFiles(RepositoryFiles.Path("tests", "reference", "families", "idefics")))
            File.WriteAllBytes(Path.Combine(source, Path.GetFileName(file)), File.ReadAllBytes(file));
        Spoil(Path.Combine(source, name), seed, tries,
            output => IdeficsImport.Run(new IdeficsSource(source), output, null, CancellationToken.None));
    }

    private void Spoil(string file, int seed, int tries, Func<string, ModelDirectory> import)
    {
        var whole = File.ReadAllBytes(file);
        AssertWhole(import(_folder["model"])); // The undamaged publication is imported first.
        Directory.Delete(_folder["model"], recursive: true);
        var (json, text) = (file.EndsWith(".json", StringComparison.Ordinal), System.Text.Encoding.UTF8.GetString(whole));
        // A report of parts that do not fit each other names tensors and their parts instead of the damaged file.
        string[] names = [Path.GetFileName(file), "The parts of the publication do not fit each other", "The tokenizer", _folder["source"]];
        byte[] Damaged(Random random) => json ? JsonMutations.Apply(text, random) : ByteMutations.Apply(whole, random);
        var run = FuzzRun.Of(seed, tries, file, Damaged, _ =>
        {
            try
            {
                AssertWhole(import(_folder["model"]));
            }
            catch (CheckpointException exception)
            {
                Assert.DoesNotContain("A configuration file of the publication", exception.Message, StringComparison.Ordinal);
                Assert.False(Directory.Exists(_folder["model"]), "The failed import left a model directory.");
                throw;
            }
            finally
            {
                if (Directory.Exists(_folder["model"])) Directory.Delete(_folder["model"], recursive: true);
                Assert.Equal([_folder["source"]], Directory.GetFileSystemEntries(_folder.Path));
            }
        }, names);
        Assert.True(run.Refused > 0, $"{run}");
    }

    private static void AssertWhole(ModelDirectory model)
    {
        Assert.True(File.Exists(model.TokenizerPath));
        foreach (var part in new[] { "vision", "resampler", "language" })
        {
            using var weights = model.OpenWeights(part);
            Assert.Equal(model.Config.Weights[part].Digest, WeightsDigest.Compute(weights, _ => true));
        }
    }
}
