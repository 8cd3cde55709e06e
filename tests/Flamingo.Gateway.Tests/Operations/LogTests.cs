using System.Reflection;
using Flamingo.Abstractions;
using Flamingo.Gateway.Tests.Redis;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Operations;

/// <summary>A gateway logs its configuration at the start, and later everything that an operator has to know.</summary>
public sealed class LogTests
{
    private readonly Stage _stage = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact(Timeout = 60_000)]
    public async Task A_start_names_Redis_and_the_bound_of_memory_and_a_first_request_the_stages_once()
    {
        using var server = new RespServer();
        await using var gateway = _stage.Services(
            ("Redis:ConnectionString", $"{server.Address},password="),
            ("Redis:LookupBudget", "00:00:10"), ("Redis:LeaseBudget", "00:00:10"), ("Redis:WriteBudget", "00:00:10"),
            ("Redis:LeaseDuration", "00:01:00"), ("Gateway:MemoryCacheBytes", "12345"), ("Gateway:TenantSalt", "a salt of this test"),
            ("Redis:IntegrityKey", "a key of this test"));
        foreach (var start in gateway.GetServices<IHostedService>()) await start.StartAsync(Cancellation);
        Assert.Contains("12345 bytes", Single("held in memory").Text, StringComparison.Ordinal);
        while (!Said("is connected")) await Task.Delay(1, Cancellation);
        Assert.Contains(server.Address, Single("is connected").Text, StringComparison.Ordinal);
        Assert.DoesNotContain("password", Single("is connected").Text, StringComparison.Ordinal);

        await gateway.GetRequiredService<IFlamingo>().AskAsync(Picture(1));
        await gateway.GetRequiredService<IFlamingo>().AskAsync(Picture(1));
        Assert.Contains("'v' (weights vision-1, preprocessing pre-1)", Single("The vision encoder is").Text, StringComparison.Ordinal);
        Assert.Contains("2 latents of width 5, Float32", Single("The resampler is").Text, StringComparison.Ordinal);
        Single("The language model is");
        await gateway.GetRequiredService<ILatentCacheOperations>().ClearAsync(Cancellation);
        Single("The latent cache was cleared");
        Assert.All(_stage.Logged, entry => Assert.Equal(LogLevel.Information, entry.Level)); // there are no warnings
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task A_replaced_stage_and_a_redis_that_is_away_are_told_of()
    {
        await using (var off = _stage.Services())
        {
            await off.GetRequiredService<IFlamingo>().AskAsync(Picture(1));
            Single("Redis is off");
            _stage.VisionAnswers = "vision-2";
            await off.GetRequiredService<IFlamingo>().AskAsync(Picture(2));
            Assert.Contains("vision-2", Single("did not describe").Text, StringComparison.Ordinal);
            _stage.VisionAnswers = null;
            _stage.Vision = _stage.Vision with { WeightsDigest = "vision-2" };
            await off.GetRequiredService<IFlamingo>().AskAsync(Picture(3));
            Assert.Equal(2, _stage.Logged.Count(entry => entry.Text.StartsWith("The vision encoder is", StringComparison.Ordinal)));
            Single("The resampler is"); // logged once, because the resampler has not changed
        }

        var away = new Stage();
        await using var gateway = away.Services(("Redis:ConnectionString", "127.0.0.1:1"));
        string[] warnings = ["does not answer", "lookup failed", "is skipped for"];
        for (var number = 0; !warnings.All(Warned); number++) // each new picture causes a lookup
        {
            Cancellation.ThrowIfCancellationRequested();
            await gateway.GetRequiredService<IFlamingo>().AskAsync(Picture(1, (byte)(number >> 8), (byte)number));
        }

        bool Warned(string text) =>
            away.Logged.Any(entry => entry.Level == LogLevel.Warning && entry.Text.Contains(text, StringComparison.Ordinal));
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact]
    public void Events_of_one_category_have_numbers_of_their_own()
    {
        var methods = typeof(GatewayOptions).Assembly.GetTypes().SelectMany(type => type.GetMethods(
                BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic))
            .Select(method => (method.DeclaringType, Log: method.GetCustomAttribute<LoggerMessageAttribute>()))
            .Where(method => method.Log is not null).ToList();
        Assert.Equal(
            ["GatewayLog", "LatentCacheLog", "RedisLog"],
            methods.Select(method => method.DeclaringType!.Name).Distinct().Order(StringComparer.Ordinal)); // one class per subsystem
        Assert.Distinct(methods.Select(method => (method.DeclaringType, method.Log!.EventId)));
        Assert.DoesNotContain(methods, method => method.Log!.EventId <= 0);
    }

    private bool Said(string text) => _stage.Logged.Any(entry => entry.Text.Contains(text, StringComparison.Ordinal));

    private LoggedEvent Single(string text) => Assert.Single(_stage.Logged, entry => entry.Text.Contains(text, StringComparison.Ordinal));
}
