using Flamingo.Bench.Figures;
using Flamingo.Bench.Synthesis;
using Flamingo.Bench.Tests.Synthesis;
using Flamingo.Testing;

namespace Flamingo.Bench.Tests;

/// <summary>Checks that every figure returns a value. The size of most values depends on the machine and is not checked.</summary>
public sealed class BenchRunTests
{
    private static readonly string Shapes = RepositoryFiles.Path("models", "shapes");

    [Fact]
    public async Task Every_figure_of_the_shapes_model_is_finite_and_positive()
    {
        var measured = await RunAsync(
            new BenchRequest(FigureCatalogue.All, null, Shapes, Threads: 2, Seed: 1,
                Repetitions: 1) { StreamTokens = 4, ComparedPrompts = 6, IdleTime = TimeSpan.FromMilliseconds(200) });
        Assert.Equal(FigureCatalogue.All.Select(figure => figure.Name), measured.Select(line => line.Figure));
        var flips = measured.Where(line => line.Figure.Contains("_flips_", StringComparison.Ordinal)).ToList();
        // A start may reuse memory that an earlier figure has freed, HTTP may be as fast as gRPC, and an idle process may use no tick.
        var mayBeZero = measured.Where(line => line.Figure is "cold_start_memory_over_weights" or "http_known_picture_cost"
            or "idle_processor_share").ToList();
        Assert.All(measured.Except(flips).Except(mayBeZero), line => Assert.True(double.IsFinite(line.Value) && line.Value > 0, $"{line}"));
        Assert.Equal(3, mayBeZero.Count);
        Assert.All(mayBeZero, line => Assert.True(double.IsFinite(line.Value), $"{line}"));
        Assert.All(flips, line => Assert.InRange(line.Value, 0, 0.5)); // a different model would differ at almost every token
        Assert.Equal(0, Assert.Single(flips, line => line.Figure == "f32_flips_in_company").Value); // this value does not depend on timing
        Assert.All(measured, line => Assert.Contains("shapes", line.Against, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_model_made_for_the_run_answers_and_is_kept_only_where_asked()
    {
        using var folder = new TemporaryFolder();
        var figures = FigureCatalogue.Select(
            ["ttft_cold_over_warm_2_shots", "throughput_16_over_1", "decode_bandwidth_share", "cold_encode_gemm_share"]);
        var request = new BenchRequest(figures, SmallGeometry.Value, Shapes, Threads: 2, Seed: 1,
            Repetitions: 1) { StreamTokens = 4, Keep = folder.Below("kept") };
        for (var run = 0; run < 2; run++) // the first run writes the model, the second run uses it
        {
            var measured = await RunAsync(request);
            Assert.Equal(figures.Count, measured.Count);
            Assert.All(measured, line => Assert.True(double.IsFinite(line.Value) && line.Value > 0, $"{line}"));
        }

        Assert.Equal(["kept"], Directory.GetFileSystemEntries(folder.Path).Select(entry => Path.GetFileName(entry)));
    }

    [Fact]
    public async Task Services_take_their_configuration_from_the_request()
    {
        var request = new BenchRequest(FigureCatalogue.Select(["ttft_warm_8_shots"]), null, Shapes, Threads: 2, Seed: 1, Repetitions: 1)
        {
            Settings = new Dictionary<string, string?> { ["Gateway:MaxPicturesPerRequest"] = "4" },
        };
        var refused = await Assert.ThrowsAsync<Abstractions.FlamingoException>(() => RunAsync(request));
        Assert.Contains("9 pictures are more than 4", refused.Message, StringComparison.Ordinal);
    }

    private static async Task<List<Measurement>> RunAsync(BenchRequest request)
    {
        var measured = new List<Measurement>();
        await BenchRun.RunAsync(request, line =>
        {
            measured.Add(line);
            return Task.CompletedTask;
        }, TextWriter.Null, TimeProvider.System, TestContext.Current.CancellationToken);
        return measured;
    }
}
