using Flamingo.Bench.Machine;
using Flamingo.Bench.Synthesis;
using Flamingo.Checkpoints;
using Flamingo.Testing;

namespace Flamingo.Bench.Tests.Machine;

public sealed class ModelWorkTests
{
    [Fact]
    // 81 billion multiply-adds
    public void A_picture_costs_ViT_L_14_what_its_papers_say() =>
        Assert.Equal(162e9, ModelWork.VisionOperations(Geometry.OpenFlamingo3B.Vision), 1e9);

    [Fact]
    public void A_decoded_token_reads_everything_but_the_projections_of_pictures()
    {
        var shapes = ModelDirectory.Open(RepositoryFiles.Path("models", "shapes"));
        using var file = shapes.OpenWeights("language");
        var all = file.Entries.Values.Sum(entry => entry.Length);
        const long ProjectionsOfPictures = 6 * 1024 * 128 * 2; // layers × (K and V of 8 heads × 64) × latent width × bf16
        Assert.Equal(all - ProjectionsOfPictures, ModelWork.DecodedTokenBytes(shapes));
    }
}
