using System.Globalization;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Reports.Samples;

namespace Flamingo.Evaluation.Reports;

/// <summary>
/// The page of a run: one file of HTML that a browser opens from a disk. It has its styles, its script and its pictures in itself, and its
/// content security policy allows no other; the policy names the hashes of the two, so that nothing else can run even if a text from a
/// benchmark's file became markup.
/// </summary>
public static class ReportPage
{
    /// <summary>Writes the page as UTF-8.</summary>
    /// <param name="benchmarks">
    /// The benchmarks of the run, for pictures, questions and references. The answers of one that is missing are shown without these.
    /// </param>
    /// <param name="output">Stays open.</param>
    public static void Write(EvaluationResults results, IReadOnlyList<Benchmark> benchmarks, Stream output, ReportOptions? options = null,
        CancellationToken cancellation = default)
    {
        options ??= new();
        var lookup = new BenchmarkLookup(benchmarks);
        var metrics = results.Scores.DistinctBy(score => score.Benchmark).ToDictionary(score => score.Benchmark, score => score.Metric);
        var data = SampleData.Of(results.Items, lookup, metrics, options, cancellation);
        var (style, script) = (Resource("report.css"), Resource("report.js"));
        var run = results.Run;
        var names = string.Join(", ", metrics.Keys);
        Markup page = $"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src '{Hash(style)}'; script-src '{
                Hash(script)}'; base-uri 'none'; form-action 'none'">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>{run.Model} on {names}</title>
            <style>{Markup.Raw(style)}</style>
            </head>
            <body>
            <a class="skip" href="#scores">To the scores</a>
            <header>
            <h1><bdi>{run.Model}</bdi> on {names}</h1>
            <p>{Summary(results)}</p>
            <nav aria-label="Parts of this page"><ul>
            <li><a href="#scores">Scores</a></li><li><a href="#samples">Answers one by one</a></li>
            <li><a href="#failures">Failures</a></li><li><a href="#repeat">How to repeat it</a></li>
            </ul></nav>
            </header>
            <main>
            {ScoreSections.Write(results)}
            {Samples(results, data)}
            {Failures(results.Items, lookup, options)}
            {Repeat(run)}
            </main>
            <footer><p>Written by Flamingo for .NET {run.Version}. This file asks no server for anything.</p></footer>
            <script type="application/json" id="data">{Markup.Raw(data.ToJson())}</script>
            <script>{Markup.Raw(script)}</script>
            </body>
            </html>

            """;
        using var writer = new StreamWriter(output, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), leaveOpen: true);
        writer.Write(page.ToString());
    }

    private static string Summary(EvaluationResults results)
    {
        var (run, failed) = (results.Run, results.Items.Count(item => item.Score is null));
        var answers = results.Items.Count - failed;
        return $"{ReportWords.Number(answers)} {(answers == 1 ? "answer was" : "answers were")} scored"
            + (failed == 0 ? "; every question was answered." : $"; {ReportWords.Number(failed)} failed and are listed below, not scored.")
            + $" The run began on {Day(run.Started)} and took {ReportWords.Duration(run.Elapsed)}.";
    }

    private static Markup Samples(EvaluationResults results, SampleData data)
    {
        var scored = results.Items.Count(item => item.Score is not null);
        Markup which = data.Samples.Count == scored
            ? (Markup)$"All {ReportWords.Number(scored)} answers, the worst first."
            : $"""
                {ReportWords.Number(data.Samples.Count)} of {ReportWords.Number(scored)} answers, the worst first. Every way of asking
                has the same share: three quarters are its worst answers, and one quarter is taken evenly from all others.
                """;
        return $"""
            <section id="samples" aria-labelledby="samples-title">
            <h2 id="samples-title">Answers one by one</h2>
            <p>{which} The file of results has every answer. Right and wrong follow the score of the single answer;
            captions are called low or high, by the average of the run.</p>
            <noscript><p>To browse the answers, this page needs JavaScript.</p></noscript>
            <form id="filters" aria-label="Which answers are shown" hidden></form>
            <p id="count" role="status"></p>
            <div id="cards"></div>
            <nav id="pages" aria-label="Pages of answers" hidden></nav>
            </section>
            """;
    }

    private static Markup Failures(IReadOnlyList<ScoredItem> items, BenchmarkLookup lookup, ReportOptions options)
    {
        var failed = items.Where(item => item.Score is null).ToList();
        if (failed.Count == 0)
            return $"""
                <section id="failures" aria-labelledby="failures-title">
                <h2 id="failures-title">Failures</h2>
                <p>None: every question was answered.</p>
                </section>
                """;
        var rows = failed.Take(options.Failures).Select(item => (Markup)$"""
            <tr><td>{item.Answer.Benchmark} {item.Answer.Group}</td><td><bdi>{item.Answer.Id}</bdi></td><td>{File(item)}</td>
            <td>{ReportWords.Shots(item.Answer.Condition.Shots)}, {ReportWords.Choice(item.Answer.Condition.Selection,
                item.Answer.Condition.Ablation)}, trial {item.Answer.Condition.Trial + 1}</td>
            <td class="words">{item.Answer.Error ?? "The answer has no score."}</td></tr>

            """);
        var more = failed.Count - options.Failures;
        return $"""
            <section id="failures" aria-labelledby="failures-title">
            <h2 id="failures-title">Failures</h2>
            <p>These questions have no answer and are in no score.</p>
            <div class="wide" tabindex="0" role="region" aria-label="Failures">
            <table><thead><tr><th scope="col">benchmark</th><th scope="col">item</th><th scope="col">picture</th>
            <th scope="col">asked with</th><th scope="col">what happened</th></tr></thead>
            <tbody>{rows}</tbody></table>
            </div>
            {(more > 0 ? (Markup)$"<p>{ReportWords.Number(more)} more failed; the file of results has all.</p>" : Markup.Empty)}
            </section>
            """;

        string File(ScoredItem item) => lookup.Query(item.Answer.Benchmark, item.Answer.Id)?.Parts.OfType<PicturePart>()
            .Select(picture => Path.GetFileName(picture.File)).FirstOrDefault() ?? "";
    }

    private static Markup Repeat(RunDescription run) => $"""
        <section id="repeat" aria-labelledby="repeat-title">
        <h2 id="repeat-title">How to repeat it</h2>
        <p>The same command with the same weights and the same files gives the same answers.</p>
        <pre tabindex="0" aria-label="Command">{run.Command}</pre>
        <div class="pairs">
        {Pairs("Model and program", [new("model", run.Model), new("Flamingo for .NET", run.Version), new("began", Day(run.Started)),
            new("took", ReportWords.Duration(run.Elapsed))])}
        {Pairs("Digests of the weights", run.Digests)}
        {Pairs("Options", run.Options)}
        {Pairs("Template of the prompts", run.Template)}
        </div>
        </section>
        """;

    private static Markup Pairs(string title, IEnumerable<KeyValuePair<string, string>> pairs)
    {
        var rows = pairs.Select(pair => (Markup)$"<div><dt>{pair.Key}</dt><dd class=\"words\">{pair.Value}</dd></div>\n").ToList();
        return rows.Count == 0 ? Markup.Empty : $"<div><h3>{title}</h3><dl>{rows}</dl></div>";
    }

    private static string Day(DateTimeOffset time) =>
        time.ToUniversalTime().ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture);

    // Browsers hash what they read after they made every end of line a line feed.
    private static string Resource(string name)
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(name)!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().ReplaceLineEndings("\n");
    }

    private static string Hash(string text) =>
        $"sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(text)))}";
}
