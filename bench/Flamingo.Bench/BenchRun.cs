using Flamingo.Bench.Measuring;

namespace Flamingo.Bench;

/// <summary>Measures the figures one after the other and reports each as soon as it is known.</summary>
public static class BenchRun
{
    /// <param name="report">Called once per figure, in order.</param>
    /// <param name="progress">Receives progress lines for the user.</param>
    public static async Task RunAsync(BenchRequest request, Func<Measurement, Task> report, TextWriter progress, TimeProvider time,
        CancellationToken cancellation)
    {
        var geometry = request.Geometry?.Name ?? Path.GetFileName(Path.TrimEndingDirectorySeparator(request.Model));
        var where = $"{geometry}, {request.Threads} threads, median of {request.Repetitions}";
        await progress.WriteLineAsync($"{request.Figures.Count} figures: {where}, seed {request.Seed}");
        var measured = new List<Measurement>();
        await using (var bench = new Workbench(request, progress, time))
        {
            foreach (var (index, figure) in request.Figures.Index())
            {
                cancellation.ThrowIfCancellationRequested();
                await progress.WriteLineAsync($"[{index + 1}/{request.Figures.Count}] {figure.Name} …");
                var measurement = new Measurement(figure.Name, await figure.MeasureAsync(bench, cancellation),
                    figure.Unit, $"{figure.Against} ({where})");
                measured.Add(measurement);
                await report(measurement);
            }
        }

        await progress.WriteLineAsync();
        foreach (var line in measured) await progress.WriteLineAsync($"{line.Figure,-40} {line.Value,12:G4} {line.Unit}");
    }
}
