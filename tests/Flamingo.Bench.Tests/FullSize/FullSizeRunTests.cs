using Flamingo.Bench.FullSize;
using Flamingo.Bench.Synthesis;
using Flamingo.Bench.Tests.Publications;
using Flamingo.Testing;

namespace Flamingo.Bench.Tests.FullSize;

/// <summary>
/// Makes the full-size run at a thousandth of the size: every layout is written, imported, loaded and answers prompts.
/// </summary>
public sealed class FullSizeRunTests
{
    [Theory]
    [InlineData("openflamingo-3b"), InlineData("openflamingo-4b"), InlineData("openflamingo-9b"), InlineData("idefics-9b")]
    public async Task Every_publication_is_written_imported_and_asked_in_both_storages(string name)
    {
        var measured = new List<Measurement>();
        await RunAsync(name, measurement => measured.Add(measurement), TestContext.Current.CancellationToken);

        Assert.All(measured, measurement => Assert.True(double.IsFinite(measurement.Value) && measurement.Value >= 0, measurement.Figure));
        string[] asked = ["weights_held", "load_time", "load_private_memory", "first_answer_from_disk", "first_token", "first_token_again",
            "tokens_per_second", "private_memory"];
        Assert.Equal(["published_size", "import_time", "import_private_memory", .. asked.Select(figure => $"{figure}_native"),
            .. asked.Select(figure => $"{figure}_int8")], measured.Select(measurement => measurement.Figure));
        double Of(string figure) => measured.Single(measurement => measurement.Figure == figure).Value;
        Assert.InRange(Of("weights_held_int8") / Of("weights_held_native"), 0.4, 0.95);
        Assert.True(Of("first_answer_from_disk_native") > Of("load_time_native"));
    }

    [Fact]
    public async Task Nothing_is_left_behind_where_it_is_interrupted()
    {
        static string[] Left() => Directory.GetDirectories(Path.GetTempPath(), "flamingo-full-size-*");
        var before = Left();
        using var cancellation = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => RunAsync("idefics-9b", _ => cancellation.Cancel(), cancellation.Token));
        Assert.Empty(Left().Except(before));
    }

    private static Task RunAsync(string name, Action<Measurement> report, CancellationToken cancellation)
    {
        var request = new BenchRequest([], SmallPublication.Of(Geometry.All.Single(known => known.Name == name)),
            RepositoryFiles.Path("models", "shapes"), Threads: 2, Seed: 1, Repetitions: 1);
        return FullSizeRun.RunAsync(request, measurement =>
        {
            report(measurement);
            return Task.CompletedTask;
        }, TextWriter.Null, TimeProvider.System, cancellation, mostShardBytes: 200_000);
    }
}
