using Flamingo.Gateway.SupportSets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Flamingo.Gateway.Tests.Operations;

/// <summary>What a gateway refuses and warns of at the start, where Redis is concerned.</summary>
public sealed class StartTests
{
    private readonly Stage _stage = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact(Timeout = 60_000)]
    public async Task A_start_warns_once_of_a_missing_key_and_salt_where_Redis_is_on_and_logs_neither_secret()
    {
        await StartAsync([]);
        Assert.DoesNotContain(_stage.Logged, entry => entry.Text.Contains("is empty: whoever", StringComparison.Ordinal));
        await StartAsync([("SupportSets:ConnectionString", "127.0.0.1:1")]);
        await StartAsync([
            ("Redis:ConnectionString", "127.0.0.1:1"), ("Redis:IntegrityKey", "a key of this test"),
            ("Gateway:TenantSalt", "a salt of this test"),
        ]);
        foreach (var option in new[] { "Redis:IntegrityKey", "Gateway:TenantSalt" })
            Assert.Equal(LogLevel.Warning, Assert.Single(
                _stage.Logged, entry => entry.Text.StartsWith($"{option} is empty: whoever", StringComparison.Ordinal)).Level);
        Assert.DoesNotContain(_stage.Logged, entry => entry.Text.Contains("of this test", StringComparison.Ordinal));
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();

        async Task StartAsync((string, string)[] settings)
        {
            await using var gateway = _stage.Services(settings);
            foreach (var start in gateway.GetServices<IHostedService>()) await start.StartAsync(Cancellation);
        }
    }

    [Theory]
    [InlineData("localhost", true), InlineData("redis:6379,ssl=true", true), InlineData("my_redis,serviceName=mymaster", true)]
    [InlineData("10.0.0.1:6379,[::1]:6380,password=a=b", true), InlineData("", true)]
    [InlineData("localhost:abc", false), InlineData("localhost:abc,redis:6379", false), InlineData("localhost:", false)]
    [InlineData(":6379", false), InlineData("redis://host:6379", false), InlineData("rediss://u:geheim@host:6379/0", false)]
    [InlineData("host:6379:7", false), InlineData("host 6379", false), InlineData("host:99999", false)]
    [InlineData("host:6379,passwrd=geheim", false), InlineData("host:6379,ssl", false), InlineData("host:6379,password", false)]
    [InlineData("host:6379,ssl=maybe", false), InlineData("password=geheim", false), InlineData("host:6379;ssl=true", false)]
    public async Task A_connection_string_that_cannot_be_meant_is_refused_and_not_quoted(string text, bool isAccepted)
    {
        await CheckAsync<RedisOptions>("Redis:ConnectionString");
        await CheckAsync<SupportSetOptions>("SupportSets:ConnectionString");

        async Task CheckAsync<T>(string option)
            where T : class
        {
            await using var gateway = _stage.Services((option, text));
            if (isAccepted)
            {
                Assert.NotNull(gateway.GetRequiredService<IOptions<T>>().Value);
                return;
            }

            var refusal = Assert.Throws<OptionsValidationException>(() => gateway.GetRequiredService<IOptions<T>>().Value);
            Assert.StartsWith($"{option} is not a connection string", refusal.Message, StringComparison.Ordinal);
            Assert.DoesNotContain("geheim", refusal.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_short_integrity_key_and_prefixes_that_overlap_are_refused()
    {
        await using var weak = _stage.Services(("Redis:IntegrityKey", "geheim"));
        var refusal = Assert.Throws<OptionsValidationException>(() => weak.GetRequiredService<IOptions<RedisOptions>>().Value);
        Assert.StartsWith("Redis:IntegrityKey has fewer than 16 characters.", refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("geheim", refusal.Message, StringComparison.Ordinal);

        (string, string)[] overlapping = [("Redis:ConnectionString", "localhost"), ("Redis:InstanceName", "flamingo:")];
        await using var cleared = _stage.Services(overlapping);
        Assert.StartsWith("SupportSets:InstanceName begins with Redis:InstanceName", Assert.Throws<OptionsValidationException>(
            () => cleared.GetRequiredService<IOptions<SupportSetOptions>>().Value).Message, StringComparison.Ordinal);
        await using var apart = _stage.Services([.. overlapping, ("SupportSets:ConnectionString", "other")]);
        Assert.NotNull(apart.GetRequiredService<IOptions<SupportSetOptions>>().Value);
    }
}
