using Flamingo.Abstractions;
using Flamingo.Gateway.SupportSets;
using Flamingo.Stages;

namespace Flamingo.Gateway.Tests.SupportSets;

public sealed class ShotSelectorTests
{
    // The embeddings lie on the unit circle; the values are angles in degrees.
    private static readonly StoredSet Set = Of(90, 0, 40, 180, 20);

    [Fact]
    public void All_and_first_keep_the_order_of_the_set()
    {
        Assert.Equal([0, 1, 2, 3, 4], Select(ShotSelection.All, 0));
        Assert.Equal([0, 1, 2], Select(ShotSelection.First, 3));
    }

    [Fact]
    public void Rices_takes_the_nearest_the_most_similar_last()
    {
        Assert.Equal([2, 4, 1], ShotSelector.Select(new SupportSetChoice("s", ShotSelection.Rices, 3), Set, Embedding(5)));
        Assert.Equal([2, 0], ShotSelector.Select(new SupportSetChoice("s", ShotSelection.Rices, 2), Set, Embedding(100)));
        // Of equally similar shots, the first counts as the nearest.
        Assert.Equal([2, 1, 0], ShotSelector.Select(new SupportSetChoice("s", ShotSelection.Rices, 3), Of(7, 7, 7), Embedding(7)));
    }

    [Fact]
    public void Random_draws_without_replacement_by_seed_alone()
    {
        var drawn = Enumerable.Range(0, 200).Select(seed => Select(ShotSelection.Random, 3, (ulong)seed)).ToList();
        Assert.All(drawn, places => Assert.Equal(3, places.Distinct().Count()));
        Assert.All(drawn, places => Assert.All(places, place => Assert.InRange(place, 0, 4)));
        Assert.InRange(drawn.Select(places => string.Join(' ', places)).Distinct().Count(), 50, 60); // there are 60 permutations
        Assert.Equal(drawn[7], Select(ShotSelection.Random, 3, 7));
        // Each index is selected about equally often: 120 of 200 times expected, with a standard deviation below 7.
        Assert.All(Enumerable.Range(0, 5), place => Assert.InRange(drawn.Count(places => places.Contains(place)), 90, 150));
    }

    [Fact]
    public void Permutations_begin_with_the_selected_order_and_hold_every_shot_once()
    {
        var orders = ShotSelector.Permutations(6, new Ensemble(24, 3)).ToList();
        Assert.Equal(24, orders.Count);
        Assert.Equal([0, 1, 2, 3, 4, 5], orders[0]);
        Assert.All(orders, order => Assert.Equal([0, 1, 2, 3, 4, 5], order.Order()));
        Assert.InRange(orders.Select(order => string.Join(' ', order)).Distinct().Count(), 20, 24);
        Assert.Equal(orders, ShotSelector.Permutations(6, new Ensemble(24, 3)));
    }

    [Fact]
    public void Embeddings_are_scaled_to_length_one()
    {
        Assert.Equal([0.6f, 0.8f], Floats(ShotSelector.Embedding(TensorData.FromFloats([3, 4], 2))),
            (left, right) => Math.Abs(left - right) < 1e-6);
        Assert.Equal([0f, 0f], Floats(ShotSelector.Embedding(TensorData.FromFloats([0, 0], 2))));
    }

    private static float[] Floats(ReadOnlyMemory<byte> bytes) => new TensorData(TensorDtype.Float32, [bytes.Length / 4], bytes).ToFloats();

    private static IReadOnlyList<int> Select(ShotSelection selection, int count, ulong seed = 0) =>
        ShotSelector.Select(new SupportSetChoice("s", selection, count, seed), Set, default);

    private static StoredSet Of(params int[] degrees) => new(
        "s", 1, "r", DateTimeOffset.UnixEpoch, null, "vision", degrees.Length,
        [.. degrees.Select(angle => new StoredShot($"{angle}", "a", Embedding(angle)))]);

    private static ReadOnlyMemory<byte> Embedding(int degrees) =>
        ShotSelector.Embedding(TensorData.FromFloats([(float)Math.Cos(degrees * Math.PI / 180),
            (float)Math.Sin(degrees * Math.PI / 180)], 2));
}
