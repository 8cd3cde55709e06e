using System.Diagnostics.Metrics;
using System.Globalization;
using System.Net;
using System.Text.Json;
using Flamingo.Fixtures;
using Flamingo.Stages;
using Flamingo.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Flamingo.ServiceDefaults.Tests;

/// <summary>These tests do not run in parallel with others, because they read the metrics of the whole process.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;

/// <summary>The port for operators, over real connections.</summary>
[Collection(nameof(Alone))]
public sealed class ManagementPortTests : IAsyncDisposable
{
    private readonly int _grpc = FreePort.Next(), _http = FreePort.Next(), _management = FreePort.Next();
    private readonly Worker _worker = new("the worker");
    private readonly Condition _condition = new();
    private readonly HttpClient _client = new();
    private readonly Meter _own = new("Flamingo.ManagementPortTests"), _vllm = new("Vllm");
    private WebApplication? _app;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        _own.Dispose();
        _vllm.Dispose();
        if (_app is not null) await _app.DisposeAsync();
    }

    [Fact(Timeout = 60_000)]
    public async Task Health_over_http_says_what_the_health_service_says_with_reasons()
    {
        await StartAsync();
        foreach (var path in new[] { "/healthz", "/readyz" }) Assert.Equal((200, "SERVING"), Status(await GetAsync(path)));

        _condition.Problem = "The resampler is away.";
        Assert.Equal((200, "SERVING"), Status(await GetAsync("/healthz")));
        var away = await GetAsync("/readyz");
        Assert.Equal((503, "NOT_SERVING"), Status(away));
        Assert.Equal("The resampler is away.", Reason(away, "flamingo.ready"));
        Assert.Null(Reason(away, "flamingo.live"));

        _condition.Problem = null;
        _worker.Fail(new InvalidOperationException("It broke."));
        _app!.Services.GetRequiredService<Watchdog>().Observe(TimeSpan.Zero);
        foreach (var path in new[] { "/healthz", "/readyz" })
        {
            var broken = await GetAsync(path);
            Assert.Equal((503, "NOT_SERVING"), Status(broken));
            Assert.Equal("the worker has ended with an error: It broke.", Reason(broken, "flamingo.live"));
        }
    }

    [Fact(Timeout = 60_000)]
    public async Task Metrics_of_all_rooms_are_on_the_page_and_those_of_vllm_have_their_colon()
    {
        await StartAsync();
        _own.CreateCounter<long>("flamingo.test.vllm_pictures", "{picture}").Add(3);
        _vllm.CreateHistogram<double>("vllm.test_latency", "s", "vllm_ in a text stays.").Record(0.5, new KeyValuePair<string, object?>(
            "model_name", "vllm_model"));
        var (code, page) = await GetAsync("/metrics");
        Assert.Equal(200, code);
        var lines = page.Split('\n');
        Assert.Contains("# TYPE vllm:test_latency_seconds histogram", lines);
        Assert.Contains("# HELP vllm:test_latency_seconds vllm_ in a text stays.", lines);
        Assert.Contains(
            lines, line => line.StartsWith("vllm:test_latency_seconds_sum{model_name=\"vllm_model\"} 0.5", StringComparison.Ordinal));
        Assert.Contains("flamingo_test_vllm_pictures_total{} 3", lines);
        Assert.DoesNotContain("vllm_test", page, StringComparison.Ordinal);
        Assert.DoesNotContain("otel_scope", page, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task Names_of_vllm_are_an_option()
    {
        await StartAsync(("Telemetry:VllmNames", "false"));
        _own.CreateCounter<long>("flamingo.test.pictures").Add(1);
        _vllm.CreateCounter<long>("vllm.test").Add(1);
        var (_, page) = await GetAsync("/metrics");
        Assert.Contains("flamingo_test_pictures_total{} 1", page, StringComparison.Ordinal);
        Assert.DoesNotContain("vllm", page, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task The_ports_serve_nothing_of_each_other_and_scrapes_are_not_counted_as_calls()
    {
        await StartAsync();
        Assert.Equal(404, (await GetAsync("/service")).Code);
        Assert.Equal(200, await CodeAsync(_http, HttpVersion.Version11, "/service"));
        foreach (var path in new[] { "/metrics", "/healthz", "/readyz" })
        {
            Assert.Equal(404, await CodeAsync(_http, HttpVersion.Version11, path));
            Assert.Equal(404, await CodeAsync(_grpc, HttpVersion.Version20, path));
        }

        for (var scrape = 0; scrape < 3; scrape++) await GetAsync("/metrics");
        var (_, page) = await GetAsync("/metrics");
        var calls = page.Split('\n')
            .Where(line => line.StartsWith("http_server_request_duration_seconds_count", StringComparison.Ordinal)).ToList();
        Assert.Contains(calls, line => line.Contains("/service", StringComparison.Ordinal));
        Assert.Equal(7, calls.Sum(line => double.Parse(line.Split("} ")[1].Split(' ')[0], CultureInfo.InvariantCulture)));
    }

    [Fact(Timeout = 60_000)]
    public async Task It_is_off_by_default_and_a_port_of_its_own()
    {
        await StartAsync(("Endpoints:ManagementPort", null));
        Assert.DoesNotContain(_app!.Urls, url => url.EndsWith($":{_management}", StringComparison.Ordinal));
        await Assert.ThrowsAsync<HttpRequestException>(() => GetAsync("/healthz"));

        await using var twice = Build(("Endpoints:ManagementPort", $"{_http}"));
        var refusal = Assert.Throws<IOException>(twice.CheckBeforeStart);
        Assert.Equal($"Endpoints:ManagementPort and Endpoints:HttpPort are both {_http}. Choose two ports.", refusal.Message);
    }

    private static (int Code, string Status) Status((int Code, string Body) page) =>
        (page.Code, JsonDocument.Parse(page.Body).RootElement.GetProperty("status").GetString()!);

    private static string? Reason((int Code, string Body) page, string check) =>
        JsonDocument.Parse(page.Body).RootElement.GetProperty("checks").GetProperty(check).GetProperty("reason").GetString();

    private async Task StartAsync(params (string Key, string? Value)[] settings)
    {
        _app = Build(settings);
        await _app.StartAsync(Cancellation);
    }

    private WebApplication Build(params (string Key, string? Value)[] settings)
    {
        var builder = WebApplication.CreateBuilder();
        builder.Configuration.AddInMemoryCollection(
        [
            new("Endpoints:GrpcPort", $"{_grpc}"), new("Endpoints:HttpPort", $"{_http}"), new("Endpoints:Listen", "loopback"),
            new("Endpoints:ManagementPort", $"{_management}"), new("Endpoints:DrainTimeout", "0s"),
        ]);
        builder.Configuration.AddInMemoryCollection(settings.Select(setting => KeyValuePair.Create(setting.Key, setting.Value)));
        builder.AddServiceDefaults();
        builder.Services.AddGrpc();
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton(new WorkerGroup([_worker])).AddSingleton<IReadiness>(_condition);
        var app = builder.Build();
        app.MapServiceDefaults();
        app.MapGet("/service", () => "served");
        return app;
    }

    private async Task<(int Code, string Body)> GetAsync(string path)
    {
        using var answer = await _client.GetAsync(new Uri($"http://127.0.0.1:{_management}{path}"), Cancellation);
        return ((int)answer.StatusCode, await answer.Content.ReadAsStringAsync(Cancellation));
    }

    private async Task<int> CodeAsync(int port, Version version, string path)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"http://127.0.0.1:{port}{path}")
        {
            Version = version, VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        using var answer = await _client.SendAsync(request, Cancellation);
        return (int)answer.StatusCode;
    }

    private sealed class Condition : IReadiness
    {
        public string? Problem { get; set; }

        public Task CheckAsync(CancellationToken cancellation) =>
            Problem is { } problem ? Task.FromException(new InvalidOperationException(problem)) : Task.CompletedTask;
    }
}
