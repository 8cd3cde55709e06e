using System.Globalization;
using System.Xml.Linq;
using Flamingo.Evaluation.Reports.Curves;

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
        <div><dt>no examples</dt><dd>As in the papers, the model then sees two texts without pictures, which tell it the form of an
        answer.</dd></div>
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

    // What a reader would look for first: the best score of each group, what it is without examples, and what spoilt examples take away.
    private static Markup Findings(List<ShotScore> scores)
    {
        var groups = scores.Where(score => double.IsFinite(score.Mean)).GroupBy(score => score.Group).ToList();
        if (groups.Count > 3) return Markup.Empty;
        List<Markup> findings = [];
        foreach (var group in groups)
        {
            var whole = group.Where(score => score.Ablation == "none").ToList();
            if (whole.MaxBy(score => score.Mean) is not { } best) continue;
            var name = group.Key.Length > 0 ? $"{group.Key}: " : "";
            var chosen = best.Shots > 0 ? $", chosen {ReportWords.Chosen(best.Selection)}" : "";
            findings.Add($"<li>{name}best {Strong(best)} with {ReportWords.Shots(best.Shots)}{chosen}.</li>\n");
            if (whole.Find(score => score.Shots == 0) is { } without && best.Shots > 0)
                findings.Add($"<li>{name}{Strong(without)} without examples.</li>\n");
            foreach (var changed in group.Where(score => score.Ablation != "none")
                .GroupBy(score => (score.Selection, score.Ablation)).Select(way => way.MaxBy(score => score.Shots)!))
            {
                var same = whole.Find(score => score.Shots == changed.Shots && score.Selection == changed.Selection);
                if (same is null) continue;
                findings.Add($"""
                    <li>{name}{Strong(changed)} in place of {Value(same)} if {ReportWords.Shots(changed.Shots)} chosen {
                        ReportWords.Chosen(changed.Selection)} are spoilt: {ReportWords.Ablation(changed.Ablation)}.</li>

                    """);
            }
        }

        return findings.Count == 0 ? Markup.Empty : $"<ul class=\"findings\">{findings}</ul>";

        static Markup Strong(ShotScore score) => $"<strong>{Value(score)}</strong>";
    }

    private static Markup Table(string name, List<ShotScore> scores)
    {
        // A column that would say the same in every row is left out.
        var columns = new (string Title, bool IsThere, Func<ShotScore, Markup> Cell)[]
        {
            ("task", scores.Exists(score => score.Group.Length > 0), score => $"<td>{score.Group}</td>"),
            ("examples", true, score => $"<td>{ReportWords.Selection(score.Selection)}</td>"),
            ("changes to them", scores.Exists(score => score.Ablation != "none"),
                score => $"<td>{ReportWords.Ablation(score.Ablation)}</td>"),
            ("shots", true, score => $"<td class=\"number\">{score.Shots}</td>"),
            (ReportWords.Name(scores[0].Metric), true, score => $"<td class=\"number main\">{Value(score)}{Spread(score)}</td>"),
            ("95 % interval", true, score =>
                $"<td class=\"number\">{ReportWords.Value(score.Metric, score.Low)} to {ReportWords.Value(score.Metric, score.High)}</td>"),
            ("in the best five (%)", scores.Exists(score => score.TopFive is not null), score =>
                $"<td class=\"number\">{score.TopFive?.ToString("F1", CultureInfo.InvariantCulture) ?? "–"}</td>"),
            ("answers per trial", true, score => $"<td class=\"number\">{Counts(score.Trials.Select(trial => trial.Count))}</td>"),
            ("failed, all trials", true,
                score => $"<td class=\"number\">{ReportWords.Number(score.Trials.Sum(trial => trial.Failed))}</td>"),
            ("each trial (seed)", true, score => $"<td class=\"trials\">{score.Trials.Select(trial => (Markup)
                $"<span>{ReportWords.Value(score.Metric, trial.Value)} <small>({trial.Seed})</small></span> ")}</td>"),
        }.Where(column => column.IsThere).ToList();
        return $"""
            <h4>Scores by number of examples</h4>
            <div class="wide" tabindex="0" role="region" aria-label="Scores of {name}">
            <table><thead><tr>{columns.Select(column => (Markup)$"<th scope=\"col\">{column.Title}</th>")}</tr></thead>
            <tbody>
            {scores.Select(score => (Markup)$"<tr>{columns.Select(column => column.Cell(score))}</tr>\n")}</tbody></table>
            </div>
            """;
    }

    private static Markup Published(string name, List<ShotScore> scores)
    {
        int[] shots = [.. scores.Select(score => score.Shots).Distinct().Order()];
        var published = PublishedScores.Of(name, shots);
        if (published.Count == 0) return Markup.Empty;
        shots = [.. shots.Where(count => published.Any(score => score.Scores.ContainsKey(count)))];
        var own = scores.Where(score => score.Ablation == "none").GroupBy(score => score.Selection).Select(way => Row(
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
            <p class="source">Sources: {string.Join("; ", published.Select(score => score.Source).Distinct())}. They were measured on the
            publisher's whole test files; compare only a run on the same.</p>
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
