using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Text.RegularExpressions;
using Flamingo.Cli.Tests.Running;
using Flamingo.Testing;

namespace Flamingo.Cli.Tests.Serving;

/// <summary>These tests do not run in parallel with others, because they listen to the meters of the whole process.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;

/// <summary>
/// docs/metrics.md names every metric of ours with its kind, unit and labels, and no other: compared with the instruments of a process that
/// runs everything, and with its Prometheus page after some requests.
/// </summary>
[Collection(nameof(Alone))]
public sealed partial class MetricsPageTests
{
    /// <summary>Labels that a series has only if there is something to tell: a failure, or a tenant by option.</summary>
    private static readonly string[] Conditional = ["error_type", "flamingo_tenant"];

    private static readonly HttpClient Web = new();

    private static IReadOnlyList<Row> Rows { get; } =
    [
        .. File.ReadLines(RepositoryFiles.Path("docs", "metrics.md")).Select(line => TableRow().Match(line)).Where(match => match.Success)
            .Select(match => new Row(
                match.Groups[1].Value, match.Groups[2].Value, match.Groups[3].Value,
                [.. Label().Matches(match.Groups[4].Value).Select(label => label.Groups[1].Value)],
                match.Groups[5].Value)),
    ];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_page_names_every_metric_with_kind_unit_and_labels_and_no_other()
    {
        var instruments = new ConcurrentDictionary<string, Instrument>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, _) =>
            {
                if (IsOurs(instrument.Meter.Name)) instruments[instrument.Name] = instrument;
            },
        };
        listener.Start();
        var management = RunningServer.FreePort();
        await using var serving = new RunningServer { Arguments = [$"--Endpoints:ManagementPort={management}"] };
        await serving.InitializeAsync();
        await AskAsync(serving.Address);

        Assert.Equal(
            Rows.Select(row => $"{row.Name} {row.Kind} {row.Unit}".TrimEnd()).Order(StringComparer.Ordinal),
            instruments.Values.Select(Described).Order(StringComparer.Ordinal));

        var page = await Web.GetStringAsync(new Uri($"http://127.0.0.1:{management}/metrics"), Cancellation);
        var series = Series().Matches(page).Select(match => (
            Name: HistogramPart().Replace(match.Groups[1].Value, ""),
            Labels: LabelName().Matches(match.Groups[2].Value).Select(label => label.Groups[1].Value).Where(label => label != "le")
                .ToList()))
            .Where(line => IsOursOnPage(line.Name)).ToLookup(line => line.Name, line => line.Labels);
        var known = Rows.ToDictionary(row => row.OnPage(instruments[row.Name]));
        Assert.Empty(series.Select(line => line.Key).Except(known.Keys));
        foreach (var (name, row) in known)
        {
            // A counter is not on the page before it has counted, and what belongs to Redis is not there without it.
            if (instruments[row.Name] is Counter<long> || row.Text.Contains("(with Redis)", StringComparison.Ordinal)) continue;
            Assert.True(series.Contains(name), $"{row.Name} is not on the page as {name}.");
        }

        foreach (var line in series)
            foreach (var labels in line)
                Assert.True(
                    labels.Except(known[line.Key].Labels).Count() == 0 && known[line.Key].Labels.Except(labels).All(Conditional.Contains),
                    $"{line.Key} has the labels {string.Join(", ", labels)}.");
    }

    /// <summary>The names on which dashboards, autoscalers and benchmarks of vLLM rely.</summary>
    [Fact]
    public void Names_of_vllm_are_all_there() => Assert.Superset(
        new HashSet<string>(
        [
            "vllm.num_requests_running", "vllm.num_requests_waiting", "vllm.kv_cache_usage_perc", "vllm.time_to_first_token",
            "vllm.inter_token_latency", "vllm.e2e_request_latency", "vllm.request_queue_time", "vllm.request_prefill_time",
            "vllm.request_decode_time", "vllm.request_prompt_tokens", "vllm.request_generation_tokens", "vllm.prompt_tokens",
            "vllm.generation_tokens", "vllm.request_success", "vllm.cache_config_info",
        ]),
        Rows.Select(row => row.Name).ToHashSet());

    private static async Task AskAsync(string address)
    {
        for (var time = 0; time < 2; time++)
            (await FlamingoCommand.RunAsync("generate", "--prompt", Examples.Prompt("caption.json"), "--server", address)).MustReturn(0);
        (await FlamingoCommand.RunAsync(
            "generate", "--prompt", Examples.Prompt("caption.json"), "--server", address, "--max-tokens", "100000")).MustReturn(1);
    }

    private static bool IsOurs(string meter) => meter.StartsWith("Flamingo.", StringComparison.Ordinal) || meter == "Vllm";

    private static bool IsOursOnPage(string name) =>
        new[] { "flamingo_", "gen_ai_", "vllm:" }.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal));

    private static string Described(Instrument instrument) => $"{instrument.Name} {Kind(instrument)} {instrument.Unit}".TrimEnd();

    private static string Kind(Instrument instrument)
    {
        var type = instrument.GetType().Name;
        return type.Contains("Counter", StringComparison.Ordinal) ? "counter"
            : type.Contains("Gauge", StringComparison.Ordinal) ? "gauge" : "histogram";
    }

    [GeneratedRegex(@"^\| `((?:flamingo|gen_ai|vllm)\.[a-z0-9_.]+)` \| (counter|gauge|histogram) \| ([^|]*?) ?\| ([^|]*?) ?\| ([^|]+) \|$")]
    private static partial Regex TableRow();

    [GeneratedRegex("`([a-z_]+)`")]
    private static partial Regex Label();

    [GeneratedRegex(@"^([a-z][a-zA-Z0-9_:]*)\{([^\n]*)\} [^\n}]+$", RegexOptions.Multiline)]
    private static partial Regex Series();

    [GeneratedRegex("""([a-z_]+)="[^"]*"(?:,|$)""")]
    private static partial Regex LabelName();

    [GeneratedRegex("_(bucket|sum|count)$")]
    private static partial Regex HistogramPart();

    private sealed record Row(string Name, string Kind, string Unit, IReadOnlyList<string> Labels, string Text)
    {
        /// <summary>The name on the Prometheus page: underscores, the unit and, for a counter, <c>_total</c> at the end.</summary>
        public string OnPage(Instrument instrument)
        {
            var unit = instrument.Unit switch
            {
                "s" => "_seconds",
                "By" => "_bytes",
                _ => "",
            };
            var name = Name.Replace('.', '_');
            if (!name.EndsWith(unit, StringComparison.Ordinal)) name += unit;
            if (Kind == "counter") name += "_total";
            return name.StartsWith("vllm_", StringComparison.Ordinal) ? "vllm:" + name["vllm_".Length..] : name;
        }
    }
}
