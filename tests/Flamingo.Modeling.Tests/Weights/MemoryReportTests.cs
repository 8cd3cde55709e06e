using Flamingo.Checkpoints;
using Flamingo.Stages;
using Flamingo.Testing;
using TorchSharp;

namespace Flamingo.Modeling.Tests.Weights;

public sealed class MemoryReportTests
{
    private static readonly MemoryReport Two = new(
    [
        new("one", [new("weights", 3L << 30, "set Model:WeightStorage to int8"), new("keys", 512L << 20, null)]),
        new("two", [new("cache", 512L << 20, "lower Two:CacheBytes")]),
    ]);

    [Fact]
    public void Parts_that_fit_alone_are_refused_together_with_every_figure_and_remedy()
    {
        Two.Check(new AvailableMemory(4L << 30));
        var refused = Assert.Throws<CheckpointException>(() => Two.Check(new AvailableMemory((4L << 30) - 1)));
        foreach (var part in new[] { "4.0 GiB are to be held", "one: weights 3.0 GiB; set Model:WeightStorage to int8", "one: keys 512.0 MiB", "two: cache 512.0 MiB; lower Two:CacheBytes" })
            Assert.Contains(part, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Remedies_tell_what_they_would_leave()
    {
        using var file = ModelDirectory.Open(RepositoryFiles.Path("models", "shapes")).OpenWeights("language");
        var (wide, narrow) = (MemoryReport.Weights(file, torch.ScalarType.Float32, WeightStorage.Native), MemoryReport.Weights(file, torch.ScalarType.BFloat16, WeightStorage.Int8));
        Assert.InRange((double)narrow.Bytes / wide.Bytes, 0.25, 0.3);
        Assert.Null(narrow.Remedy);
        Assert.Contains($"both ({MemoryReport.Size(narrow.Bytes)})", wide.Remedy, StringComparison.Ordinal);
    }
}
