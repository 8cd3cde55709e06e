using System.Buffers.Binary;
using System.Text;
using Flamingo.Testing;
using Flamingo.Testing.Fuzzing;

namespace Flamingo.Checkpoints.Tests.Fuzzing;

/// <summary>Reads damaged versions of the files that every stage reads at start.</summary>
public sealed class CheckpointFuzzTests : IDisposable
{
    private const string Header = """{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}"""
        + ""","b":{"dtype":"F16","shape":[2],"data_offsets":[8,12]},"c":{"dtype":"BF16","shape":[0,3],"data_offsets":[12,12]}"""
        + ""","d":{"dtype":"I64","shape":[],"data_offsets":[12,20]}}""";
    private readonly string _folder = Directory.CreateTempSubdirectory("flamingo-fuzz-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Safetensors_headers()
    {
        var run = FuzzRun.Of(11, 1500, Path.Combine(_folder, "header.safetensors"),
            random => Safetensors(JsonMutations.Apply(Header, random)), ReadAll);
        Assert.InRange(run.Accepted, 1, 1200);
    }

    [Fact]
    public void Safetensors_bytes()
    {
        var whole = Safetensors(Encoding.UTF8.GetBytes(Header));
        var run = FuzzRun.Of(12, 1000, Path.Combine(_folder, "bytes.safetensors"), random =>
        {
            var bytes = ByteMutations.Apply(whole, random);
            // A quarter of the files also gets a random length of the header.
            if (random.Next(4) == 0 && bytes.Length >= 8)
                BinaryPrimitives.WriteInt64LittleEndian(bytes, random.NextInt64(long.MinValue, long.MaxValue) >> random.Next(64));
            return bytes;
        }, ReadAll);
        Assert.InRange(run.Accepted, 1, 900);
    }

    [Fact]
    public void Model_configurations()
    {
        var model = RepositoryFiles.Path("models", "shapes");
        foreach (var weights in Directory.GetFiles(model, "*.safetensors"))
            File.CreateSymbolicLink(Path.Combine(_folder, Path.GetFileName(weights)), weights);
        var json = File.ReadAllText(Path.Combine(model, ModelDirectory.ConfigFile));
        var run = FuzzRun.Of(13, 1500, Path.Combine(_folder, ModelDirectory.ConfigFile), random =>
            JsonMutations.Apply(json, random), file =>
        {
            var opened = ModelDirectory.Open(_folder);
            AssertSane(opened.Config);
            foreach (var part in new[] { "vision", "resampler", "language" }) opened.OpenWeights(part).Dispose();
        }, ModelDirectory.ConfigFile, _folder, ".safetensors");
        Assert.InRange(run.Accepted, 1, 1200);
    }

    [Fact]
    public void A_file_too_large_to_be_a_configuration_is_not_read()
    {
        var file = Path.Combine(_folder, ModelDirectory.ConfigFile);
        using (var stream = File.Create(file)) stream.SetLength(3L << 30); // The file is sparse and takes no space on the disk.
        Assert.Contains(file, Assert.Throws<CheckpointException>(() => ModelDirectory.Open(_folder)).Message, StringComparison.Ordinal);
    }

    private static void AssertSane(ModelConfig config)
    {
        Assert.InRange((long)config.Language.VocabularySize * config.Language.Width, 1, 1L << 44);
        Assert.Equal(config.Language.Width, config.Language.HeadWidth * config.Language.Heads);
        Assert.InRange(config.Language.KeyValueWidth, 1, config.Language.Width);
        Assert.InRange(config.Vision.ImageSize / config.Vision.PatchSize, 1, 1 << 14);
        Assert.All(config.Tokens.Stop, id => Assert.InRange(id, 0, config.Language.VocabularySize - 1));
        Assert.All(config.Weights.Values, Assert.NotNull);
    }

    private static byte[] Safetensors(byte[] header)
    {
        var bytes = new byte[8 + header.Length + 20];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, header.Length);
        header.CopyTo(bytes, 8);
        return bytes;
    }

    private static void ReadAll(string path)
    {
        using var file = SafetensorsFile.Open(path);
        foreach (var entry in file.Entries.Values)
            Assert.Equal(entry.Shape.Aggregate(1L, (product, length) => product * length) * SafetensorsFile.ElementSize(entry.Dtype),
                file.Read(entry).ToArray().Length);
        WeightsDigest.Compute(file, _ => true);
    }
}
