using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Reports;
using Flamingo.Evaluation.Runs;
using Xunit;

namespace Flamingo.Evaluation.Tests.Reports;

public sealed class ReportPageTests
{
    [Fact]
    public void The_page_is_one_file_whose_policy_allows_nothing_else()
    {
        var page = Page(new MadeUpRun().Captions(20, 0, 4).Questions(0, 4).Memes().Episodes());
        var policy = Regex.Match(page, """<meta http-equiv="Content-Security-Policy" content="([^"]*)">""").Groups[1].Value;
        var (style, script) = (Regex.Match(page, "<style>(.*?)</style>", RegexOptions.Singleline), Regex.Matches(
            page, "<script[^>]*>(.*?)</script>", RegexOptions.Singleline)[1]);
        Assert.Equal($"default-src 'none'; img-src data:; style-src '{Hash(style)}'; script-src '{Hash(script)}'; base-uri 'none'; "
            + "form-action 'none'", policy);
        Assert.DoesNotMatch(@"\b(src|href|action)=""(?!#)|url\(|@import|\sstyle=|\son[a-z]+=", page);
        Assert.DoesNotContain("http://", page.Replace("http://www.w3.org/2000/svg", "", StringComparison.Ordinal));
        Assert.DoesNotContain("https://", page);
        Assert.DoesNotContain('\r', style.Value + script.Value); // browsers hash line feeds

        static string Hash(Match element) =>
            $"sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(element.Groups[1].Value)))}";
    }

    [Fact]
    public void No_text_of_a_file_becomes_markup()
    {
        const string Hostile = MadeUpRun.Hostile;
        var run = new MadeUpRun();
        run.Description = run.Description with
        {
            Command = Hostile, Model = Hostile, Version = Hostile, Digests = Pair(), Template = Pair(), Options = Pair(),
        };
        var shot = new BenchmarkItem(Hostile, [new TextPart(Hostile)], [Hostile]) { Question = Hostile, Answer = Hostile };
        var query = shot with { Id = Hostile + "\u0000\ud800", Group = Hostile, Shots = [shot] };
        run.Add(new Benchmark(Hostile, BenchmarkKind.Answer, BenchmarkMetric.ExactMatch, [query], []) { Labels = [Hostile] });
        var condition = new Condition(1, 0, 42, Hostile, Hostile);
        var answer = new ItemAnswer(Hostile, Hostile, condition, query.Id, [Hostile, "unknown" + Hostile], Hostile) { Scores = [0.5] };
        run.Add(new ShotScore(Hostile, Hostile, BenchmarkMetric.ExactMatch, Hostile, Hostile, 1, [new(0, 42, 0, 1, 1)], 0, 0, 0, 0));
        run.Add(new ScoredItem(answer, 0));
        run.Add(new ScoredItem(answer with { Text = "", Error = Hostile }, null));

        var page = Page(run);
        Assert.Equal(2, Regex.Count(page, "<script", RegexOptions.IgnoreCase));
        Assert.Equal(2, Regex.Count(page, "</script", RegexOptions.IgnoreCase));
        Assert.DoesNotMatch("<img|<!--|\u0000", page);
        Assert.DoesNotMatch(@"<[a-zA-Z]+(\s+[\w:-]+(=""[^""]*"")?)*\s+on", page); // no attribute is a handler, wherever a text ends a quote
        Assert.InRange(Regex.Count(page, "&lt;/script&gt;&lt;script&gt;window.hacked=1"), 15, 40); // and yet it is shown

        var data = Data(page);
        var sample = data.GetProperty("samples").EnumerateArray().Single();
        Assert.Equal(Hostile, sample.GetProperty("answer").GetString());
        Assert.Equal("unknown" + Hostile, sample.GetProperty("drawn")[1].GetProperty("id").GetString());
        Assert.Equal(Hostile, data.GetProperty("items")[0].GetProperty("question").GetString());

        static Dictionary<string, string> Pair() => new() { [Hostile] = Hostile };
    }

    [Fact]
    public void The_table_has_every_score_beside_the_published_ones_of_the_same_shots()
    {
        var run = new MadeUpRun();
        run.Add(new ShotScore("coco", "", BenchmarkMetric.Cider, "rices", "none", 4,
            [new(0, 7, 101.26, 60, 0), new(1, 9007199254740993, 104.76, 58, 2)], 103.01, 1.76, 98.31, 107.69));
        run.Add(new ShotScore("coco", "", BenchmarkMetric.Cider, "rices", "blank-pictures", 4, [new(0, 7, 50, 60, 0)], 50, 0, 45, 55));
        var cells = Regex.Matches(Page(run), "<t[dh](?: [^>]*)?>(.*?)</t[dh]>").Select(cell => cell.Groups[1].Value).ToList();
        string[] expected =
        [
            "most similar examples (RICES)", "unchanged", "4", "103.0 ± 1.8", "98.3 to 107.7", "58 to 60", "0 to 2",
            "101.3 (7)   104.8 (9007199254740993)", "most similar examples (RICES)", "blank pictures", "4", "50.0", "45.0 to 55.0", "60",
            "0", "50.0 (7)",
        ];
        Assert.Equal(expected, cells[8..24]);
        // The run's own row comes first, without what was changed on purpose. IDEFICS-80B published 4 shots, and IDEFICS-9B 32 alone.
        Assert.Equal(["model", "examples", "4 examples", "this run", "most similar examples (RICES)", "103.0"], cells[24..30]);
        Assert.Equal(["OpenFlamingo-3B", "random examples", "77.3"], cells[30..33]);
        Assert.Equal(["OpenFlamingo-9B", "most similar examples (RICES)", "93.1", "IDEFICS-80B", "as in its model card", "110.3"],
            cells[39..]);
    }

    [Fact]
    public void What_changed_examples_take_away_is_said_in_a_sentence()
    {
        var page = Page(new MadeUpRun().Captions(20, 0, 4, 8));
        Assert.Matches(@"Best score: <strong>[\d.]+</strong> with \d examples chosen by similarity \(RICES\)", page);
        Assert.Matches(@"Without examples: <strong>[\d.]+</strong>", page);
        Assert.Matches(@"With 8 examples chosen at random, blank pictures: <strong>[\d.]+</strong> in place of [\d.]+\.", page);
    }

    [Fact]
    public void Everything_that_repeats_the_run_is_there()
    {
        var run = new MadeUpRun().Memes();
        var page = Page(run);
        var said = run.Description;
        var all = said.Digests.Concat(said.Options).Concat(said.Template).SelectMany(pair => new[] { pair.Key, pair.Value })
            .Concat([said.Command, said.Version, said.Model, "2025-12-01 02:07 UTC", "2 h 3 min"]);
        Assert.All(all, text => Assert.Contains(text.Replace("<", "&lt;").Replace(">", "&gt;"), page));
    }

    [Fact]
    public void A_missing_or_broken_picture_costs_this_picture_only()
    {
        var run = new MadeUpRun().Episodes();
        var files = run.Benchmarks[0].Queries.SelectMany(query => query.Parts).OfType<PicturePart>().Take(3)
            .Select(part => part.File).ToList();
        var data = Data(Page(run, new ReportOptions
        {
            Thumbnail = file => files.IndexOf(file) switch
            {
                0 => throw new InvalidOperationException("the decoder is broken"),
                1 => "<svg onload='alert(1)'/>"u8.ToArray(),
                2 => null,
                _ => File.ReadAllBytes(file),
            },
            SamplesPerBenchmark = int.MaxValue,
        }));
        var pictures = data.GetProperty("pictures").EnumerateArray().ToList();
        Assert.Equal(3, pictures.Count(picture => picture.ValueKind == JsonValueKind.Null));
        Assert.True(pictures.Count > 400);
        Assert.All(pictures.Where(picture => picture.ValueKind == JsonValueKind.String),
            picture => Assert.StartsWith("data:image/png;base64,", picture.GetString()));

        var nowhere = new MadeUpRun().Captions(5, 0);
        nowhere.Benchmarks[0] = nowhere.Benchmarks[0] with
        {
            Queries = [.. nowhere.Benchmarks[0].Queries.Select(query => query with { Parts = [new PicturePart("/nowhere/0.png")] })],
        };
        Assert.Equal([JsonValueKind.Null],
            Data(Page(nowhere)).GetProperty("pictures").EnumerateArray().Select(picture => picture.ValueKind));
    }

    [Fact]
    public void Each_picture_is_there_once_and_all_within_the_bytes_for_them()
    {
        var run = new MadeUpRun().Captions(40, 4, 8);
        var counted = 0;
        byte[] Same(string file)
        {
            Interlocked.Increment(ref counted);
            return [0xFF, 0xD8, 0xFF, (byte)(file[^"1.png".Length] & 1)];
        }

        var data = Data(Page(run, new ReportOptions { Thumbnail = Same }));
        var pictures = data.GetProperty("pictures").EnumerateArray().ToList();
        Assert.Equal(pictures.Count, counted); // each file once
        Assert.Equal(2, pictures.Count(picture => picture.ValueKind == JsonValueKind.String)); // each content once
        Assert.Equal(pictures.Count - 2, pictures.Count(picture => picture.ValueKind == JsonValueKind.Number));
        Assert.All(pictures.Where(picture => picture.ValueKind == JsonValueKind.Number),
            picture => Assert.Equal(JsonValueKind.String, pictures[picture.GetInt32()].ValueKind));

        var few = Data(Page(run, new ReportOptions { PictureBytes = 20_000 })).GetProperty("pictures").EnumerateArray()
            .Select(picture => picture.GetString()!).ToList();
        Assert.InRange(few.Sum(picture => picture.Length), 10_000, 20_000);
        Assert.All(few.SkipWhile(picture => picture.Length > 0), picture => Assert.Equal("", picture));
    }

    [Fact]
    public void A_sample_has_query_shots_answer_and_verdict()
    {
        var run = new MadeUpRun().Questions(4);
        var data = Data(Page(run));
        var (items, samples) = (data.GetProperty("items"), data.GetProperty("samples").EnumerateArray().ToList());
        Assert.Equal(["wrong", "partly right", "right"], samples.Select(sample => sample.GetProperty("verdict").GetString()!).Distinct());
        Assert.Equal(samples.Select(Score).Order(), samples.Select(Score));
        var scored = run.Results.Items.Where(item => item.Score is not null)
            .ToDictionary(item => (item.Answer.Id, item.Answer.Condition.Trial + 1));
        Assert.All(samples, sample =>
        {
            var item = items[sample.GetProperty("item").GetInt32()];
            var original = scored[(item.GetProperty("id").GetString()!, sample.GetProperty("trial").GetInt32())];
            var query = run.Benchmarks[0].Queries.Single(query => query.Id == original.Answer.Id);
            Assert.Equal(query.Question, item.GetProperty("question").GetString());
            Assert.Equal(query.References, item.GetProperty("references").EnumerateArray().Select(one => one.GetString()));
            Assert.Equal(original.Answer.Text, sample.GetProperty("answer").GetString());
            Assert.Equal(original.Score!.Value, Score(sample));
            Assert.Equal(original.Answer.Shots, sample.GetProperty("drawn").EnumerateArray()
                .Select(shot => items[shot.GetProperty("item").GetInt32()].GetProperty("id").GetString()));
        });

        static double Score(JsonElement sample) =>
            double.Parse(sample.GetProperty("score").GetString()!, System.Globalization.CultureInfo.InvariantCulture);
    }

    [Fact]
    public void Changed_examples_say_what_the_model_saw()
    {
        var data = Data(Page(new MadeUpRun().Captions(20, 4)));
        Assert.All(data.GetProperty("samples").EnumerateArray(), sample =>
        {
            var (ablation, note) = (sample.GetProperty("ablation").GetString(), sample.GetProperty("note").GetString()!);
            Assert.Equal(ablation == "unchanged", note.Length == 0);
            Assert.Equal(ablation == "blank pictures", sample.GetProperty("isBlank").GetBoolean());
        });
        var notes = data.GetProperty("samples").EnumerateArray().Select(sample => sample.GetProperty("note").GetString());
        Assert.Equal(4, notes.Distinct().Count());
    }

    [Fact]
    public void Failures_are_listed_with_picture_and_reason_up_to_a_number()
    {
        var run = new MadeUpRun().Questions(0, 4);
        var failed = run.Results.Items.Count(item => item.Score is null);
        Assert.True(failed > 5);
        var page = Page(run, new ReportOptions { Failures = 5 });
        Assert.Equal(5, Regex.Count(page, "The server did not answer within 30 s"));
        Assert.Contains($"{failed - 5} more failed; the file of results has all.", page);
        Assert.Matches(@"<td>vqav2 </td><td><bdi>\d+</bdi></td><td>\d+\.png</td>", page);
        Assert.Contains("None: every question was answered.", Page(new MadeUpRun().Memes()));
    }

    [Fact]
    public void A_run_without_any_score_or_benchmark_has_a_page_too()
    {
        var run = new MadeUpRun();
        run.Add(new ShotScore("vqav2", "", BenchmarkMetric.VqaAccuracy, "random", "none", 4, [new(0, 42, double.NaN, 0, 1)],
            double.NaN, double.NaN, double.NaN, double.NaN));
        run.Add(new ScoredItem(new ItemAnswer("vqav2", "", new Condition(4, 0, 42, "random"), "1", [], "") { Error = "away" }, null));
        var page = Page(run);
        Assert.Contains("<td class=\"number main\">–</td>", page);
        Assert.Contains("0 answers were scored; 1 failed", page);
        Assert.DoesNotContain("NaN", page[..page.IndexOf("<script", StringComparison.Ordinal)]);

        // Without the benchmarks, answers are shown with their ids.
        var unknown = new MadeUpRun().Captions(5, 0);
        unknown.Benchmarks.Clear();
        var samples = Data(Page(unknown)).GetProperty("samples").EnumerateArray().ToList();
        Assert.Equal(30, samples.Count);
        Assert.All(samples, sample => Assert.False(sample.TryGetProperty("item", out _)));
    }

    [Fact]
    public void A_cancelled_report_ends()
    {
        using var stop = new CancellationTokenSource();
        var run = new MadeUpRun().Episodes();
        var options = new ReportOptions
        {
            Thumbnail = _ =>
            {
                stop.Cancel();
                return null;
            },
        };
        Assert.ThrowsAny<OperationCanceledException>(
            () => ReportPage.Write(run.Results, run.Benchmarks, Stream.Null, options, stop.Token));
    }

    private static string Page(MadeUpRun run, ReportOptions? options = null)
    {
        using var output = new MemoryStream();
        ReportPage.Write(run.Results, run.Benchmarks, output, options, TestContext.Current.CancellationToken);
        return Encoding.UTF8.GetString(output.ToArray());
    }

    private static JsonElement Data(string page)
    {
        using var document = JsonDocument.Parse(
            Regex.Match(page, """<script type="application/json" id="data">(.*?)</script>""", RegexOptions.Singleline).Groups[1].Value);
        return document.RootElement.Clone();
    }
}
