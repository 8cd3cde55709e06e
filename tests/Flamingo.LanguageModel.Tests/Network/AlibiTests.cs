using Flamingo.LanguageModel.Network;

namespace Flamingo.LanguageModel.Tests.Network;

public sealed class AlibiTests
{
    [Fact]
    public void A_power_of_two_gives_the_geometric_row() => Assert.Equal([0.25f, 0.0625f, 0.015625f, 0.00390625f], Alibi.Slopes(4, 8));

    // MPT's gen_slopes computes eight slopes for 6 heads and takes every second from the second on, then the others.
    [Fact]
    public void Six_heads_take_every_second_slope_of_eight_first() =>
        Assert.Equal([1 / 4f, 1 / 16f, 1 / 64f, 1 / 256f, 1 / 2f, 1 / 8f], Alibi.Slopes(6, 8));
}
