using Flamingo.Bench.Publications;
using Flamingo.Bench.Synthesis;
using Flamingo.Checkpoints;
using Flamingo.Testing;

namespace Flamingo.Bench.Tests.Publications;

public sealed class PublicationTests : IDisposable
{
    private static readonly string Tokenizer = File.ReadAllText(RepositoryFiles.Path("models", "shapes", "tokenizer.json"));
    private readonly TemporaryFolder _folder = new();

    /// <summary>
    /// GB of files as Hugging Face lists them (10⁹ bytes): CLIP 1.71, MPT-1B 5.25, RedPajama-INCITE-3B 5.69, MPT-7B 13.3,
    /// idefics-9b 17.86, and the checkpoint.pt of each.
    /// </summary>
    [Theory]
    [InlineData("openflamingo-3b", 1.71, 5.25, 4.19)]
    [InlineData("openflamingo-4b", 1.71, 5.69, 5.01)]
    [InlineData("openflamingo-9b", 1.71, 13.3, 5.54)]
    [InlineData("idefics-9b", 17.86)]
    public void Full_publications_are_as_large_as_the_published_ones(string name, params double[] gigabytes)
    {
        var publication = Publication.Of(Geometry.All.Single(geometry => geometry.Name == name), Tokenizer);
        Assert.Equal(gigabytes.Length, publication.Weights.Count);
        Assert.All(publication.Weights.Zip(gigabytes),
            pair => Assert.Equal(pair.Second, pair.First.Tensors.Sum(tensor => tensor.Bytes) / 1e9, 0.03));
    }

    [Theory]
    [InlineData("openflamingo-9b", "language/pytorch_model.bin.index.json", "language/pytorch_model-00001-of-0000?.bin")]
    [InlineData("idefics-9b", "model.safetensors.index.json", "model-00001-of-0000?.safetensors")]
    public void Files_larger_than_a_shard_are_sharded_with_an_index(string name, string index, string shard)
    {
        var geometry = SmallPublication.Of(Geometry.All.Single(known => known.Name == name));
        var publication = Publication.Of(geometry, Tokenizer);
        publication.Write(_folder.Path, seed: 1, mostShardBytes: 200_000, _ => { }, TestContext.Current.CancellationToken);
        Assert.True(File.Exists(_folder.Below(index)));
        Assert.Single(Directory.GetFiles(_folder.Path, shard));

        // The import is strict: it requires every canonical tensor once and rejects unknown tensors.
        var model = publication.Import(_folder.Path, _folder.Below("imported"), null, TestContext.Current.CancellationToken);
        using var language = model.OpenWeights("language");
        Assert.Equal(SyntheticTensor.Language(geometry.Language, geometry.Biases).Select(tensor => tensor.Name)
            .Order(StringComparer.Ordinal), language.Entries.Keys.Order(StringComparer.Ordinal));
        Assert.All(language.Entries.Values, entry => Assert.Equal("BF16", entry.Dtype));
        Assert.Equal(geometry.Language with { CrossAttention = model.Config.Language.CrossAttention }, model.Config.Language);
    }

    public void Dispose() => _folder.Dispose();
}
