using Flamingo.Abstractions;
using Flamingo.Gateway.Attention;
using Flamingo.Stages;

namespace Flamingo.Gateway.Tests.Attention;

public sealed class AttentionProjectionTests
{
    private static TokenAttention Seen(params float[] weights) => new(3, TensorData.FromFloats(weights, weights.Length));

    [Fact]
    public void A_square_number_of_patches_is_a_grid()
    {
        var map = AttentionProjection.Map(Seen(0.75f, 0.25f), TensorData.FromFloats([1, 0, 0, 0, 0, 0, 0, 1], 2, 4), patches: 4);
        Assert.Equal(3, map.Picture);
        Assert.Equal([0.75f, 0.25f], map.Weights.ToFloats());
        Assert.Equal([2, 2], map.Map!.Shape);
        Assert.Equal([0.75f, 0, 0, 0.25f], map.Map!.ToFloats());
    }

    [Fact]
    public void The_class_token_has_no_column_and_the_map_sums_to_one()
    {
        var map = AttentionProjection.Map(Seen(0.5f, 0.25f), TensorData.FromFloats([0.25f, 0.25f, 0.25f, 0.25f, 1, 0, 0, 0], 2, 4),
            patches: 5).Map!;
        Assert.Equal([2, 2], map.Shape);
        Assert.Equal([0.5f, 1 / 6f, 1 / 6f, 1 / 6f], map.ToFloats(), (expected, actual) => Math.Abs(expected - actual) < 1e-6f);
    }

    [Fact]
    public void Frames_stand_on_top_of_each_other()
    {
        // The clip has two frames of one patch each. The class token is ignored.
        var map = AttentionProjection.Map(Seen(1), TensorData.FromFloats([0.2f, 0.8f], 1, 2), patches: 2).Map!;
        Assert.Equal([2, 1], map.Shape);
        Assert.Equal([0.2f, 0.8f], map.ToFloats(), (expected, actual) => Math.Abs(expected - actual) < 1e-6f);
    }

    [Theory]
    [InlineData(3, 4, 4)]
    [InlineData(2, 6, 4)]
    public void Shapes_that_do_not_fit_are_an_internal_failure(int latents, int columns, int patches) =>
        Assert.Equal(FlamingoErrorKind.Internal,
            Assert.Throws<FlamingoException>(
                () =>
                    AttentionProjection.Map(Seen(0.5f, 0.5f), TensorData.FromFloats(new float[latents * columns], latents, columns),
                        patches)).Kind);
}
