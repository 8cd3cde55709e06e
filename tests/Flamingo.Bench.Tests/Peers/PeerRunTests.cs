using Flamingo.Bench.Peers;
using Flamingo.Bench.Peers.Gguf;
using Flamingo.Bench.Synthesis;
using Flamingo.Bench.Tests.Synthesis;
using Flamingo.Testing;

namespace Flamingo.Bench.Tests.Peers;

/// <summary>The comparison with llama.cpp at a thousandth of the size: both sides load and answer, and what they use is counted.</summary>
public sealed class PeerRunTests
{
    private static readonly string Shapes = RepositoryFiles.Path("models", "shapes");

    [Theory]
    [InlineData("openflamingo-3b"), InlineData("openflamingo-4b"), InlineData("openflamingo-9b"), InlineData("idefics-9b")]
    public async Task Every_geometry_is_measured_on_both_sides(string name)
    {
        var geometry = SmallGeometry.Of(Geometry.All.Single(known => known.Name == name));
        var weights = PeerWeights.All.Where(known => known.Name != "int4").ToList();
        var measured = new List<PeerFigure>();
        var request = new PeerRequest(geometry, Shapes, weights, Threads: 2, Turns: 2, Tokens: 3, PromptTokens: 20, Seed: 1);
        await PeerRun.RunAsync(request, figure =>
        {
            measured.Add(figure);
            return Task.CompletedTask;
        }, TextWriter.Null, TimeProvider.System, TestContext.Current.CancellationToken);

        Assert.Equal(
            weights.SelectMany(held => new[] { ("decode", "read"), ("prefill", "computed") }.SelectMany(kind =>
                new[] { $"ours_over_llama_cpp_{kind.Item1}_{held.Name}" }.Concat(new[] { "ours", "llama_cpp" }.SelectMany(side => new[]
                {
                    $"{side}_{kind.Item1}_{held.Name}_tokens_per_second", $"{side}_{kind.Item1}_{held.Name}_{kind.Item2}",
                })))),
            measured.Select(figure => figure.Figure));
        Assert.All(measured, figure => Assert.True(figure.Value is > 0 and < double.PositiveInfinity, $"{figure}"));
        Assert.All(measured, figure => Assert.StartsWith("{\"figure\":", figure.ToJson(), StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_ratio_is_of_parameters_per_second()
    {
        var measured = new List<PeerFigure>();
        var request = new PeerRequest(SmallGeometry.Value, Shapes, [PeerWeights.All[0]], 1, Turns: 1, Tokens: 2, PromptTokens: 8, Seed: 1);
        await PeerRun.RunAsync(request, figure =>
        {
            measured.Add(figure);
            return Task.CompletedTask;
        }, TextWriter.Null, TimeProvider.System, TestContext.Current.CancellationToken);
        double Of(string figure) => measured.Single(line => line.Figure == figure).Value!.Value;
        var ours = Of("ours_decode_bf16_read") / Of("llama_cpp_decode_bf16_read"); // two bytes for each parameter on both sides
        Assert.Equal(ours, Of("ours_over_llama_cpp_decode_bf16"), 1e-9);
        var computed = Of("ours_prefill_bf16_computed") / Of("llama_cpp_prefill_bf16_computed");
        Assert.Equal(computed, Of("ours_over_llama_cpp_prefill_bf16"), 1e-9);
    }

    [Fact]
    public void Parameters_are_those_of_the_published_model()
    {
        var bf16 = PeerWeights.All[0];
        // width 2048: 24 layers of 12 × width², 24 gated blocks of 2 × 512 × width + 8 × width², and the tied output
        const long layer = 12L * 2048 * 2048, gated = (2L * 512 * 2048) + (8L * 2048 * 2048), output = 50434L * 2048;
        Assert.Equal((24 * (layer + gated)) + output, bf16.OwnMatrices(Geometry.OpenFlamingo3B).Parameters);
        var peer = GgufLanguage.Of(Geometry.OpenFlamingo3B, GgufType.BF16);
        Assert.Equal(((24 * layer) + output, output), (peer.MatrixParameters, peer.OutputParameters));
        Assert.Equal(2 * peer.MatrixParameters, peer.MatrixBytes);
        // an untied embedding is not read
        var untied = GgufLanguage.Of(Geometry.OpenFlamingo4B, GgufType.Q8_0);
        Assert.Equal((32 * 12L * 2560 * 2560) + (50434L * 2560), untied.MatrixParameters);
        Assert.Equal(untied.MatrixParameters / 32 * 34, untied.MatrixBytes);
    }

    [Fact]
    public async Task Wrong_usage_is_told()
    {
        foreach (var args in new[] { ["--geometry", "shapes"], ["--weights", "int2"], new[] { "--turns", "0" } })
        {
            var error = new StringWriter();
            Assert.Equal(2, await PeerCommand.RunAsync(args, TextWriter.Null, error, TestContext.Current.CancellationToken));
            Assert.Contains(args[0] == "--turns" ? "--turns" : args[1], error.ToString(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_figure_that_is_not_available_has_no_value() => Assert.Equal(
        """{"figure":"x","value":null,"unit":"ratio","against":"not available"}""",
        new PeerFigure("x", null, "ratio", "not available").ToJson());
}
