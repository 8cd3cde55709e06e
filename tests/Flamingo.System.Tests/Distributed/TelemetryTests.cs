using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Client;
using Flamingo.Fixtures;
using Flamingo.Gateway.Security.Keys;
using Flamingo.Gateway.Tests.Redis;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Distributed;

/// <summary>
/// What four processes tell their operators of a run in which secrets were planted: in all lines of their logs at the most talkative level,
/// in traces, in metrics and on their management ports.
/// </summary>
public sealed class TelemetryTests(Stack shared) : HostTests(shared)
{
    private const string PromptText = "the zebra of Timbuktu plays chess", CandidateText = " a candidate from Ouagadougou",
        Salt = "the salt of this installation 4711", SealKey = "the key of seals of this installation";

    private static readonly HttpClient Web = new();

    private readonly int _collectorPort = FreePort.Next();

    [Fact(Timeout = 300_000)]
    public async Task A_request_is_one_trace_through_all_services_and_nothing_tells_a_prompt_a_picture_or_a_key()
    {
        await using var collector = await TelemetryCollector.StartAsync(_collectorPort);
        using var redis = new RespServer();
        var folder = NewFolder();
        var key = NewKey(Path.Combine(folder, "keys.json"));
        var (vision, resampler, language) = (FreePort.Next(), FreePort.Next(), FreePort.Next());
        var (http, management) = (FreePort.Next(), FreePort.Next());
        HostProcess[] hosts =
        [
            await StartReadyAsync("VisionEncoder", vision, Telling()), await StartReadyAsync("Resampler", resampler, Telling()),
            await StartReadyAsync("LanguageModel", language, Telling()),
            await StartGatewayAsync(vision, resampler, language,
            [
                .. Telling(management), ("Security__KeysFile", Path.Combine(folder, "keys.json")), ("Endpoints__HttpPort", $"{http}"),
                ("Gateway__TenantSalt", Salt), ("Redis__ConnectionString", $"127.0.0.1:{redis.Port}"), ("Redis__IntegrityKey", SealKey),
            ]),
        ];
        var picture = await File.ReadAllBytesAsync(RepositoryFiles.Path("models", "shapes", "examples", "caption-query.png"), Cancellation);
        using var client = new FlamingoClient(new FlamingoClientOptions { Addresses = [hosts[3].Address], Key = key });

        // Two requests, the second with a cached picture; then a ranking, and refusals at every place where one may quote its caller.
        var trace = await TracedAsync(() => client.CompleteAsync(Prompt(new FlamingoPicture(picture)), Cancellation));
        var again = await TracedAsync(() => client.CompleteAsync(Prompt(new FlamingoPicture(picture)), Cancellation));
        await client.RankAsync(
            new FlamingoRankRequest([new FlamingoPicture(picture), new FlamingoText(PromptText)], [CandidateText, " b"]), Cancellation);
        string[] refused =
        [
            await RefusedAsync(client, new FlamingoPicture(Encoding.UTF8.GetBytes(PromptText + PromptText)), new FlamingoText(PromptText)),
            await RefusedAsync(client, new FlamingoText(PromptText + "<image>")),
            await RefusedAsync(client, new FlamingoText(string.Concat(Enumerable.Repeat(PromptText, 400)))),
        ];
        using var stranger = new FlamingoClient(new FlamingoClientOptions { Addresses = [hosts[3].Address], Key = key[..^1] + "-" });
        await Assert.ThrowsAsync<FlamingoException>(() => stranger.GetModelAsync(Cancellation));
        foreach (var content in new object[] { PromptText, new[] { new { type = "text", text = PromptText, wrong = PromptText } } })
            refused = [.. refused, .. await ChatAsync(http, key, content)];

        await SeenAsync(collector, trace, again);
        AssertTrace(collector.Spans, trace, isCached: false);
        AssertTrace(collector.Spans, again, isCached: true);
        Assert.Contains(collector.Spans, span => span.Name == "batch prefill" && span.Links.Contains(trace));
        Assert.Contains(collector.Spans, span => span.Name == "batch encode" && span.Links.Contains(trace));
        Assert.Contains(collector.Spans, span => span.Name == "batch resample" && span.Links.Contains(trace));

        // The ids that callers were given find their requests in the log.
        var lines = hosts.SelectMany(host => host.Lines).Where(line => line.StartsWith('{')).ToList();
        Assert.All(lines, line => JsonDocument.Parse(line).Dispose());
        Assert.All(refused, id => Assert.Equal(32, id.Length));
        Assert.Contains(lines, line => line.Contains("\"event\":3001", StringComparison.Ordinal) && refused.Any(id => Has(line, id)));
        foreach (var number in new[] { 5103, 5104, 3002, 4002 }) // a request of the engine, and passes of the other stages
            Assert.Contains(lines, line => line.Contains($"\"event\":{number},", StringComparison.Ordinal)
                && (number is 3002 or 4002 || Has(line, trace)));

        var page = await Web.GetStringAsync(new Uri($"http://127.0.0.1:{management}/metrics"), Cancellation);
        Assert.Contains("gen_ai_server_request_duration_seconds_count", page, StringComparison.Ordinal);
        Assert.True(collector.HasMetrics);
        var told = string.Concat(hosts.SelectMany(host => host.Lines)) + collector.Everything + page;
        Assert.DoesNotContain(Secrets(picture, key), secret => told.Contains(secret, StringComparison.OrdinalIgnoreCase));

        (string, string)[] Telling(int port = 0) =>
        [
            ("Logging__LogLevel__Default", "Trace"), ("Logging__LogLevel__Microsoft.AspNetCore", "Trace"),
            ("Logging__LogLevel__Grpc", "Trace"), ("Telemetry__LogFormat", "json"), ("Endpoints__ManagementPort", $"{port}"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", $"http://127.0.0.1:{_collectorPort}"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"), ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
        ];
    }

    private static FlamingoRequest Prompt(FlamingoSegment first) =>
        new([first, new FlamingoText(PromptText)], new SamplingParameters { MaxTokens = 3 });

    /// <returns>The trace id of the call.</returns>
    private static async Task<string> TracedAsync(Func<Task> call)
    {
        using var caller = new Activity("caller").SetIdFormat(ActivityIdFormat.W3C);
        caller.ActivityTraceFlags = ActivityTraceFlags.Recorded;
        caller.Start();
        await call();
        return caller.TraceId.ToString();
    }

    /// <returns>The trace id in the error.</returns>
    private static async Task<string> RefusedAsync(FlamingoClient client, params FlamingoSegment[] segments) =>
        (await Assert.ThrowsAsync<FlamingoException>(() => client.CompleteAsync(
            new FlamingoRequest(segments, new SamplingParameters { MaxTokens = 3 }), Cancellation))).TraceId ?? "";

    private static async Task<IEnumerable<string>> ChatAsync(int port, string key, object content)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"http://127.0.0.1:{port}/v1/chat/completions")
        {
            Content = JsonContent.Create(
                new { model = "flamingo-shapes", max_tokens = 3, messages = new[] { new { role = "user", content } } }),
        };
        request.Headers.Authorization = new("Bearer", key);
        using var answer = await Web.SendAsync(request, Cancellation);
        return answer.Headers.GetValues("x-trace-id");
    }

    private static async Task SeenAsync(TelemetryCollector collector, params string[] traces)
    {
        // Services export in the background; a request's last span to arrive is one of the gateway or of the language model.
        while (!traces.All(trace => Steps.All(step => collector.Spans.Any(span => span.Trace == trace && span.Name == step))))
            await Task.Delay(TimeSpan.FromMilliseconds(100), Cancellation);
    }

    private static readonly string[] Steps =
        ["admit", "lookup memory", "generate_content flamingo-shapes", "queue", "prefill", "decode", "POST /flamingo.v1.Flamingo/Generate"];

    private static void AssertTrace(IReadOnlyList<ExportedSpan> all, string trace, bool isCached)
    {
        var spans = all.Where(span => span.Trace == trace).ToList();
        var names = spans.Select(span => $"{span.Service} {span.Name}").ToHashSet();
        var encoding = new[]
        {
            "Flamingo.Gateway.Host lookup redis", "Flamingo.Gateway.Host lease", "Flamingo.Gateway.Host encode",
            "Flamingo.Gateway.Host resample",
            "Flamingo.VisionEncoder.Host queue", "Flamingo.VisionEncoder.Host encode", "Flamingo.Resampler.Host queue",
            "Flamingo.Resampler.Host resample",
        };
        foreach (var name in encoding) Assert.True(names.Contains(name) != isCached, $"{name}: {string.Join(", ", names)}");
        foreach (var step in new[] { "queue", "prefill", "decode" }) Assert.Contains($"Flamingo.LanguageModel.Host {step}", names);

        // Every span but the first has its parent in the trace; the first one's parent is the caller's.
        var ids = spans.Select(span => span.Id).ToHashSet();
        Assert.Single(spans, span => !ids.Contains(span.Parent));
    }

    private static bool Has(string line, string trace) => line.Contains($"\"trace_id\":\"{trace}\"", StringComparison.Ordinal);

    private static string NewKey(string file)
    {
        var key = AccessKey.New();
        new KeyFile(file).Change(entries => entries.Add(new KeyEntry
        {
            Id = key.Id, Sha256 = Convert.ToHexStringLower(key.Digest()), Tenant = "acme", Role = KeyEntry.User,
        }));
        return key.Reveal();
    }

    /// <summary>What must be told nowhere: words of the prompt, secrets, and a part of the picture in every form that it might have.</summary>
    private static IEnumerable<string> Secrets(byte[] picture, string key)
    {
        yield return "zebra";
        yield return "Timbuktu";
        yield return "Ouagadougou";
        yield return Salt;
        yield return SealKey;
        yield return key[(key.LastIndexOf('_') + 1)..^1];
        var part = picture[(picture.Length / 2)..((picture.Length / 2) + 24)];
        yield return Encoding.Latin1.GetString(part);
        yield return Convert.ToHexString(part);
        for (var offset = 0; offset < 3; offset++) yield return Convert.ToBase64String(picture, (picture.Length / 2) + offset, 24);
        yield return string.Join(", ", part.Select(value => value.ToString(CultureInfo.InvariantCulture)));
    }
}
