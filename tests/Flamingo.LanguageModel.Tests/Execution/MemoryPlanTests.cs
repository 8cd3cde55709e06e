using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Execution;
using Flamingo.Modeling.Weights;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Tests.Execution;

public sealed class MemoryPlanTests(Models models)
{
    [Fact]
    public void What_is_stated_is_what_the_stage_allocates()
    {
        var model = models.DirectoryOf("shapes");
        using var file = model.OpenWeights("language");
        var plan = MemoryPlan.Make(
            model.Config, file, new LanguageModelOptions { KvCacheBytes = 10 << 20, PictureMemoryBytes = 4 << 20 }, ScalarType.Float32,
            WeightStorage.Native);
        Assert.Equal((10 << 20) / (2 * 6 * 128 * 8 * 4), plan.Memory.Blocks);               // keys and values, layers, width, tokens, f32
        // keys and values, gated blocks, heads, head, latents, f32
        Assert.Equal((4 << 20) / (2 * 6 * 8 * 64 * 16 * 4), plan.Memory.PictureSlots);
        Assert.InRange(plan.KvCacheBytes, 9 << 20, 10 << 20);
        Assert.Equal(
            2,
            plan.Weights.Bytes / MemoryPlan.Make(
                model.Config, file, new LanguageModelOptions(), ScalarType.BFloat16, WeightStorage.Native).Weights.Bytes);
        Assert.Equal(plan.Weights.Bytes + plan.KvCacheBytes + plan.PictureMemoryBytes, plan.MemoryClaim.Items.Sum(item => item.Bytes));
    }

    [Fact]
    public void What_does_not_hold_one_block_says_what_to_raise()
    {
        var model = models.DirectoryOf("shapes");
        using var file = model.OpenWeights("language");
        var tiny = Assert.Throws<CheckpointException>(
            () =>
                MemoryPlan.Make(
                    model.Config, file, new LanguageModelOptions { KvCacheBytes = 1 << 15 }, ScalarType.Float32, WeightStorage.Native));
        Assert.Contains("raise LanguageModel:KvCacheBytes", tiny.Message, StringComparison.Ordinal);
    }
}
