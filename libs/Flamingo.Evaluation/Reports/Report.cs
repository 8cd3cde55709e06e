using Flamingo.Evaluation.Datasets;

namespace Flamingo.Evaluation.Reports;

/// <summary>Writes what people read of a run: a page of HTML and plots as SVG, beside the file of results.</summary>
public static class Report
{
    /// <summary>
    /// Writes <c>NAME.html</c> and, for each benchmark, <c>NAME.BENCHMARK.svg</c> beside <c>NAME.json</c>. Files of earlier reports are
    /// replaced only when the new ones are complete.
    /// </summary>
    /// <param name="resultsFile">Path of the file of results, which need not exist; its ending is replaced.</param>
    /// <param name="benchmarks">
    /// The benchmarks of the run, for pictures, questions and references. The answers of one that is missing are shown without these.
    /// </param>
    /// <returns>The paths of the files, the page first.</returns>
    /// <exception cref="IOException">A file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">A file may not be written.</exception>
    public static IReadOnlyList<string> WriteBeside(
        string resultsFile, EvaluationResults results, IReadOnlyList<Benchmark> benchmarks, ReportOptions? options = null,
        CancellationToken cancellation = default)
    {
        var name = resultsFile.EndsWith(".json", StringComparison.OrdinalIgnoreCase) ? resultsFile[..^".json".Length] : resultsFile;
        var written = new List<string> { $"{name}.html" };
        Replace(written[0], output =>
        {
            ReportPage.Write(results, benchmarks, output, options, cancellation);
            return true;
        });
        foreach (var scores in results.Scores.GroupBy(score => score.Benchmark))
        {
            var file = $"{name}.{FilePart(scores.Key)}.svg";
            if (Replace(file, output => ReportPlots.Write(scores, output))) written.Add(file);
        }

        return written;
    }

    private static bool Replace(string path, Func<Stream, bool> write)
    {
        var unfinished = $"{path}.unfinished";
        try
        {
            bool isWritten;
            using (var output = File.Create(unfinished)) isWritten = write(output);
            if (isWritten) File.Move(unfinished, path, overwrite: true);
            return isWritten;
        }
        finally
        {
            File.Delete(unfinished);
        }
    }

    private static string FilePart(string benchmark) =>
        string.Concat(benchmark.Select(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_' ? letter : '-'));
}
