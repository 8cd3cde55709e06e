using System.Xml.Linq;
using Flamingo.Evaluation.Reports.Curves;
using Flamingo.Evaluation.Runs;

namespace Flamingo.Evaluation.Reports;

/// <summary>The part of the page with numbers: for each benchmark a summary, its plots, its scores, and published scores.</summary>
internal static class ScoreSections
{
    public static Markup Write(EvaluationResults results) => $"""
        <section id="scores" aria-labelledby="scores-title">
        <h2 id="scores-title">Scores</h2>
        <details><summary>How to read this</summary>
        <p>A model that learns from a few examples is asked with examples in front of the question: pictures together with their right
        answers, called <em>shots</em>. The plots show how good its answers are with more and more examples.</p>
        <dl>
        <div><dt>mean</dt><dd>Average over the trials. Each trial draws other examples by chance; the number after ± is the standard
        deviation between the trials.</dd></div>
        <div><dt>95 % interval</dt><dd>If as many other questions of the same kind were asked, the mean would be expected in this range.
        The plots show it as whiskers.</dd></div>
        <div><dt>examples</dt><dd>How the examples were chosen. <em>RICES</em> means the examples whose pictures are most similar to the
        one that is asked about.</dd></div>
        <div><dt>changes</dt><dd>Whether the examples were spoilt on purpose. If the score stays the same with blank or wrong pictures, the
        model learns from the texts of the examples and not from their pictures.</dd></div>
        <div><dt>no examples</dt><dd>For captions, questions and labels the model then sees two texts without pictures, as in the papers:
        they tell it the form of an answer.</dd></div>
        </dl></details>
        {results.Scores.GroupBy(score => score.Benchmark).Select(Benchmark)}
        </section>
        """;

    private static Markup Benchmark(IGrouping<string, ShotScore> benchmark)
    {
        List<ShotScore> scores = [.. benchmark];
        var panels = ReportPlots.Panels(scores);
        return $"""
            <section class="benchmark">
            <h3>{benchmark.Key}</h3>
            <div class="{(panels.Count == 1 ? "overview" : "")}">
            <div class="plots">{panels.Select(Figure)}</div>
            <div><p>{ReportWords.Meaning(scores[0].Metric)}</p>
            {Findings(scores)}</div>
            </div>
            {Table(benchmark.Key, scores)}
            {Published(benchmark.Key, scores)}
            </section>

            """;
    }

    private static Markup Figure(CurvePanel panel) => $"""
        <figure>{Markup.Raw(CurveDrawing.Draw(panel).ToString(SaveOptions.DisableFormatting))}</figure>

        """;

    // What a reader would look for first: the best score, what it is without examples, and what changed examples take away.
    private static Markup Findings(List<ShotScore> scores)
    {
        const int MostGroups = 3;
        var groups = scores.Where(score => double.IsFinite(score.Mean)).GroupBy(score => score.Group).ToList();
        var findings = groups.Count <= MostGroups ? groups.SelectMany(Findings).ToList() : Extremes(groups.SelectMany(group => group));
        return findings.Count == 0 ? Markup.Empty : $"<ul class=\"findings\">{findings}</ul>";
    }

    private static IEnumerable<Markup> Findings(IGrouping<string, ShotScore> group)
    {
        var name = group.Key.Length > 0 ? $"{group.Key}: " : "";
        var whole = group.Where(score => score.Ablation == RunOptions.None).ToList();
        if (whole.MaxBy(score => score.Mean) is not { } best) yield break;
        yield return $"<li>{name}Best score: {Strong(best)} with {Shots(best)}.</li>\n";
        if (whole.Find(score => score.Shots == 0) is { } without && best.Shots > 0)
            yield return $"<li>{name}Without examples: {Strong(without)}.</li>\n";
        foreach (var changed in group.Where(score => score.Ablation != RunOptions.None)
            .GroupBy(score => (score.Selection, score.Ablation)).Select(way => way.MaxBy(score => score.Shots)!))
        {
            var same = whole.Find(score => score.Shots == changed.Shots && score.Selection == changed.Selection);
            if (same is null) continue;
            yield return $"""
                <li>{name}With {Shots(changed)}, {ReportWords.Ablation(changed.Ablation)}: {Strong(changed)} in place of {Value(same)}.</li>

                """;
        }
    }

    private static List<Markup> Extremes(IEnumerable<ShotScore> scores)
    {
        var whole = scores.Where(score => score.Ablation == RunOptions.None).OrderBy(score => score.Mean).ToList();
        if (whole.Count == 0) return [];
        var (lowest, best) = (whole[0], whole[^1]);
        return
        [
            $"<li>Best score: {Strong(best)} in {best.Group} with {Shots(best)}.</li>\n",
            $"<li>Lowest score: {Strong(lowest)} in {lowest.Group} with {Shots(lowest)}.</li>\n",
        ];
    }

    private static string Shots(ShotScore score) =>
        score.Shots == 0 ? ReportWords.Shots(0) : $"{ReportWords.Shots(score.Shots)} chosen {ReportWords.Chosen(score.Selection)}";

    private static Markup Strong(ShotScore score) => $"<strong>{Value(score)}</strong>";

    private static Markup Table(string name, List<ShotScore> scores)
    {
        var metric = scores[0].Metric;
        var seeds = scores.Select(score => string.Join(", ", score.Trials.Select(trial => trial.Seed))).Distinct().ToList();
        // A column that would say the same in every row is left out.
        var columns = new Column[]
        {
            new("task", "", score => score.Group) { IsThere = scores.Exists(score => score.Group.Length > 0) },
            new("examples", "", score => ReportWords.Selection(score.Selection)),
            new("changes to them", "", score => ReportWords.Ablation(score.Ablation))
                { IsThere = scores.Exists(score => score.Ablation != RunOptions.None) },
            new("shots", "number", score => $"{score.Shots}"),
            new("mean", "number main", score => Value(score) + Spread(score)),
            new("95 % interval", "number", score => $"{ReportWords.Value(metric, score.Low)} to {ReportWords.Value(metric, score.High)}"),
            new("right within the best five", "number", score => ReportWords.Value(metric, score.TopFive))
                { IsThere = scores.Exists(score => score.TopFive is not null) },
            new("answers", "number", score => Counts(score.Trials.Select(trial => trial.Count))),
            new("failed", "number", score => Counts(score.Trials.Select(trial => trial.Failed))),
            new(seeds is [var same] ? $"trials with seeds {same}" : "trials (seed)", "trials", score => string.Join("   ", score.Trials.Select(
                trial => ReportWords.Value(metric, trial.Value) + (seeds.Count > 1 ? $" ({trial.Seed})" : ""))))
                { IsThere = scores.Exists(score => score.Trials.Count > 1) },
        }.Where(column => column.IsThere).ToList();
        return $"""
            <h4>{ReportWords.Name(metric)} by number of examples</h4>
            <div class="wide" tabindex="0" role="region" aria-label="Scores of {name}">
            <table><thead><tr>{columns.Select(column => (Markup)$"<th scope=\"col\" class=\"{column.Kind}\">{column.Title}</th>")}</tr></thead>
            <tbody>
            {scores.Select(score => (Markup)$"<tr>{columns.Select(column => column.Cell(score))}</tr>\n")}</tbody></table>
            </div>
            <p class="source">Answers and failures are those of one trial.</p>
            """;
    }

    private sealed record Column(string Title, string Kind, Func<ShotScore, string> Text)
    {
        public bool IsThere { get; init; } = true;

        public Markup Cell(ShotScore score) => $"<td class=\"{Kind}\">{Text(score)}</td>";
    }

    private static Markup Published(string name, List<ShotScore> scores)
    {
        int[] shots = [.. scores.Select(score => score.Shots).Distinct().Order()];
        var published = PublishedScores.Of(name, shots);
        if (published.Count == 0) return Markup.Empty;
        shots = [.. shots.Where(count => published.Any(score => score.Scores.ContainsKey(count)))];
        var own = scores.Where(score => score.Ablation == RunOptions.None).GroupBy(score => score.Selection).Select(way => Row(
            "own", "this run", ReportWords.Selection(way.Key), count => way.FirstOrDefault(score => score.Shots == count)?.Mean));
        var others = published.Select(score => Row(
            "", score.Model, score.Selection is { } selection ? ReportWords.Selection(selection) : "as in its model card",
            count => score.Scores.TryGetValue(count, out var value) ? value : null));
        return $"""
            <h4>Beside published scores</h4>
            <div class="wide" tabindex="0" role="region" aria-label="Published scores of {name}">
            <table><thead><tr><th scope="col">model</th><th scope="col">examples</th>{shots.Select(count => (Markup)
                $"<th scope=\"col\" class=\"number\">{ReportWords.Shots(count)}</th>")}</tr></thead>
            <tbody>{own}{others}</tbody></table>
            </div>
            <p class="source">Sources: {string.Join("; ", published.Select(score => score.Source).Distinct())}. Compare them only with a run
            that asked all queries of the same files.</p>
            """;

        Markup Row(string kind, string model, string selection, Func<int, double?> value) => $"""
            <tr class="{kind}"><th scope="row">{model}</th><td>{selection}</td>{shots.Select(count => (Markup)
                $"<td class=\"number\">{ReportWords.Value(scores[0].Metric, value(count))}</td>")}</tr>

            """;
    }

    private static string Spread(ShotScore score) =>
        score.Trials.Count > 1 ? $" ± {ReportWords.Value(score.Metric, score.StandardDeviation)}" : "";

    private static string Value(ShotScore score) => ReportWords.Value(score.Metric, score.Mean);

    private static string Counts(IEnumerable<int> counts)
    {
        var all = counts.DefaultIfEmpty().ToList();
        return all.Min() == all.Max() ? ReportWords.Number(all[0]) : $"{ReportWords.Number(all.Min())} to {ReportWords.Number(all.Max())}";
    }
}
