using Flamingo.Bench.Figures;

namespace Flamingo.Bench.Tests.Figures;

public sealed class FigureCatalogueTests
{
    private static readonly string[] Units = ["ratio", "share", "s", "ms", "us", "tokens/s", "GB/s", "GFLOP/s", "answers/s", "MiB"];

    [Fact]
    public void Names_are_unique_and_snake_case()
    {
        Assert.Equal(FigureCatalogue.All.Count, FigureCatalogue.All.Select(figure => figure.Name).Distinct().Count());
        Assert.All(FigureCatalogue.All, figure => Assert.Matches("^[a-z][a-z0-9]*(_[a-z0-9]+)*$", figure.Name));
        Assert.All(FigureCatalogue.All, figure => Assert.Contains(figure.Unit, Units));
        Assert.All(FigureCatalogue.All, figure => Assert.NotEmpty(figure.Against));
    }

    [Theory]
    [InlineData("zipf_hit_ratio_over_lru")]
    [InlineData("ttft_cold_over_warm_8_shots")]
    [InlineData("ttft_cold_over_new_picture_8_shots")]
    [InlineData("ttft_warm_32_over_0_shots")]
    [InlineData("throughput_16_over_1")]
    [InlineData("decode_bandwidth_share")]
    [InlineData("bf16_flips_in_company")]
    [InlineData("f32_flips_in_company")]
    [InlineData("bf16_flips_against_f32")]
    [InlineData("int8_flips_against_f32")]
    [InlineData("int8_weight_memory_share")]
    [InlineData("int8_over_native_tokens_per_second")]
    [InlineData("cold_start")]
    public void Names_that_others_depend_on_are_there(
        string name) => Assert.Equal(name, Assert.Single(FigureCatalogue.Select([name])).Name);

    [Fact]
    public void None_selects_all_and_unknown_names_are_told()
    {
        Assert.Equal(FigureCatalogue.All, FigureCatalogue.Select([]));
        Assert.Equal(FigureCatalogue.All.Where(figure => !figure.Name.Contains("_flips_", StringComparison.Ordinal)),
            FigureCatalogue.Select([], trained: false));
        Assert.Equal(["nonsense"], FigureCatalogue.Unknown(["read_bandwidth", "nonsense"]));
    }
}
