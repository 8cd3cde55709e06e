using Flamingo.Checkpoints;
using Flamingo.VisionEncoder.Decoding;
using Flamingo.VisionEncoder.Preprocessing;

namespace Flamingo.VisionEncoder.Tests.Execution;

/// <summary>
/// Tests that the digest and the preprocessing version of two model directories differ if their results differ, and are equal otherwise.
/// </summary>
public sealed class DigestTests(Models models)
{
    private static readonly Dictionary<string, Func<VisionConfig, VisionConfig>> Features = new()
    {
        ["heads"] = vision => vision with { Heads = 2 },
        ["activation"] = vision => vision with { Activation = "gelu" },
        ["epsilon"] = vision => vision with { LayerNormEpsilon = 1e-6 },
        ["class token"] = vision => vision with { ClassTokenInFeatures = true },
    };

    private static readonly Dictionary<string, Func<VisionConfig, VisionConfig>> Pixels = new()
    {
        ["image size"] = vision => vision with { ImageSize = 65 },
        ["resize"] = vision => vision with { Preprocessing = vision.Preprocessing with { Resize = "square" } },
        ["alpha"] = vision => vision with { Preprocessing = vision.Preprocessing with { Alpha = "white" } },
        ["orientation"] = vision => vision with { Preprocessing = vision.Preprocessing with { Orientation = "ignore" } },
        ["mean"] = vision => vision with { Preprocessing = vision.Preprocessing with { Mean = [0.5f, 0.4578275f, 0.40821072f] } },
        ["std"] = vision => vision with { Preprocessing = vision.Preprocessing with { Std = [0.26862955f, 0.2613026f, 0.5f] } },
    };

    public static TheoryData<string> FeatureChanges => [.. Features.Keys];

    public static TheoryData<string> PixelChanges => [.. Pixels.Keys];

    [Theory, MemberData(nameof(FeatureChanges))]
    public void Whatever_shapes_features_changes_their_digest(string change)
    {
        var (weights, preprocessing) = Names(config => config with { Vision = Features[change](config.Vision) });
        Assert.NotEqual(models.Stage("shapes").Description.WeightsDigest, weights);
        Assert.Equal(models.Stage("shapes").Description.PreprocessingVersion, preprocessing);
    }

    [Theory, MemberData(nameof(PixelChanges))]
    public void Whatever_shapes_pixels_changes_the_preprocessing_version(string change)
    {
        var (weights, preprocessing) = Names(config => config with { Vision = Pixels[change](config.Vision) });
        Assert.NotEqual(models.Stage("shapes").Description.PreprocessingVersion, preprocessing);
        if (change != "image size") Assert.Equal(models.Stage("shapes").Description.WeightsDigest, weights);
    }

    [Fact]
    public void Weights_dtype_and_storage_change_the_digest()
    {
        var plain = models.Stage("shapes").Description.WeightsDigest;
        var (other, _) = Names(config => config with
        {
            Weights = config.Weights.ToDictionary(part => part.Key, part => part.Value with { LatentDigest = new string('0', 64) }),
        });
        using var rounded = models.NewStage(models.DirectoryOf("shapes"), new(), dtype: "bfloat16");
        using var int8 = models.NewStage(models.DirectoryOf("shapes"), new(), storage: "int8");
        Assert.Equal(4, new[] { plain, other, rounded.Description.WeightsDigest, int8.Description.WeightsDigest }.Distinct().Count());
    }

    [Fact]
    public void The_decoder_changes_the_preprocessing_version()
    {
        var config = models.DirectoryOf("shapes").Config.Vision;
        var preprocessor = new PicturePreprocessor(config.ImageSize, config.Preprocessing);
        Assert.NotEqual(preprocessor.Version("skia"), preprocessor.Version("imagesharp"));
        Assert.Equal(preprocessor.Version(IPictureDecoder.Compiled.Name), models.Stage("shapes").Description.PreprocessingVersion);
    }

    /// <summary>
    /// Early versions did not turn pictures upright. The latents that they cached must have another key than those of this
    /// version, for both
    /// values of the orientation.
    /// </summary>
    [Fact]
    public void The_version_is_not_that_of_the_time_before_orientation()
    {
        var config = models.DirectoryOf("shapes").Config.Vision;
        foreach (var orientation in new[] { "exif", "ignore" })
        {
            var preprocessor = new PicturePreprocessor(config.ImageSize, config.Preprocessing with { Orientation = orientation });
            Assert.StartsWith("2-", preprocessor.Version("skia"), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Names_and_what_other_stages_read_change_nothing()
    {
        var (weights, preprocessing) = Names(config => config with
        {
            ModelId = "another",
            Resampler = config.Resampler with { LayerNormEpsilon = 1e-6 },
            Provenance = config.Provenance with { Note = "copied" },
        });
        Assert.Equal(models.Stage("shapes").Description.WeightsDigest, weights);
        Assert.Equal(models.Stage("shapes").Description.PreprocessingVersion, preprocessing);
    }

    private (string Weights, string Preprocessing) Names(Func<ModelConfig, ModelConfig> change)
    {
        using var stage = models.NewStage(models.Altered("shapes", change), new());
        return (stage.Description.WeightsDigest, stage.Description.PreprocessingVersion);
    }
}
