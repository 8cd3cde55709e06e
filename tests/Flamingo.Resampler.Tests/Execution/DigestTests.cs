using Flamingo.Checkpoints;

namespace Flamingo.Resampler.Tests.Execution;

/// <summary>Tests that the digests of two model directories differ if their latents differ, and are equal otherwise.</summary>
public sealed class DigestTests(Models models)
{
    private static readonly Dictionary<string, Func<ModelConfig, ModelConfig>> Changes = new()
    {
        ["heads"] = config => config with { Resampler = config.Resampler with { Heads = 4, HeadWidth = 128 } },
        ["activation"] = config => config with { Resampler = config.Resampler with { Activation = "relu" } },
        ["epsilon"] = config => config with { Resampler = config.Resampler with { LayerNormEpsilon = 1e-6 } },
        ["latent dtype"] = config => config with { Resampler = config.Resampler with { LatentDtype = "bfloat16" } },
        ["weights"] = config => config with
        {
            Weights = config.Weights.ToDictionary(part => part.Key, part => part.Value with { LatentDigest = new string('0', 64) }),
        },
    };

    public static TheoryData<string> Ingredients => [.. Changes.Keys];

    [Theory, MemberData(nameof(Ingredients))]
    public void Whatever_shapes_latents_changes_the_digest(string ingredient) =>
        Assert.NotEqual(models.Stage("shapes").Description.WeightsDigest, Digest(Changes[ingredient]));

    [Theory]
    [InlineData("bfloat16", "native")]
    [InlineData("float32", "int8")]
    public void Dtype_and_storage_change_the_digest(string dtype, string storage)
    {
        using var rounded = models.NewStage(models.DirectoryOf("shapes"), new(), dtype: dtype, storage: storage);
        Assert.NotEqual(models.Stage("shapes").Description.WeightsDigest, rounded.Description.WeightsDigest);
    }

    [Fact]
    public void Names_and_what_other_stages_read_change_nothing() => Assert.Equal(
        models.Stage("shapes").Description.WeightsDigest,
        Digest(config => config with
        {
            ModelId = "another",
            Vision = config.Vision with { LayerNormEpsilon = 1e-6 },
            Provenance = config.Provenance with { Note = "copied" },
        }));

    private string Digest(Func<ModelConfig, ModelConfig> change)
    {
        using var stage = models.NewStage(models.Altered("shapes", change), new());
        return stage.Description.WeightsDigest;
    }
}
