using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Execution;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Tests.Execution;

public sealed class MemoryPlanTests(Models models)
{
    [Fact]
    public void What_is_stated_is_what_the_stage_allocates()
    {
        var model = models.DirectoryOf("shapes");
        using var file = model.OpenWeights("language");
        var plan = MemoryPlan.Make(model.Config, file, new LanguageModelOptions { KvCacheBytes = 10 << 20, PictureMemoryBytes = 4 << 20 }, ScalarType.Float32, available: 1L << 30);
        Assert.Equal((10 << 20) / (2 * 6 * 128 * 8 * 4), plan.Memory.Blocks);               // keys and values, layers, width, tokens, f32
        Assert.Equal((4 << 20) / (2 * 6 * 8 * 64 * 16 * 4), plan.Memory.PictureSlots);      // keys and values, gated blocks, heads, head, latents, f32
        Assert.InRange(plan.KvCacheBytes, 9 << 20, 10 << 20);
        Assert.Equal(2, plan.WeightBytes / MemoryPlan.Make(model.Config, file, new LanguageModelOptions(), ScalarType.BFloat16, long.MaxValue).WeightBytes);
        Assert.Equal(plan.WeightBytes + plan.KvCacheBytes + plan.PictureMemoryBytes, plan.Bytes);
    }

    [Fact]
    public void What_does_not_fit_is_refused_with_the_sum_and_the_remedy()
    {
        var model = models.DirectoryOf("shapes");
        using var file = model.OpenWeights("language");
        var refused = Assert.Throws<CheckpointException>(() => MemoryPlan.Make(model.Config, file, new LanguageModelOptions(), ScalarType.Float32, available: 1L << 30));
        Assert.Contains("2.5 GiB", refused.Message, StringComparison.Ordinal);
        Assert.Contains("1.0 GiB", refused.Message, StringComparison.Ordinal);
        Assert.Contains("KvCacheBytes", refused.Message, StringComparison.Ordinal);
        var tiny = Assert.Throws<CheckpointException>(() => MemoryPlan.Make(model.Config, file, new LanguageModelOptions { KvCacheBytes = 1 << 15 }, ScalarType.Float32, available: 1L << 40));
        Assert.Contains("raise LanguageModel:KvCacheBytes", tiny.Message, StringComparison.Ordinal);
    }
}
