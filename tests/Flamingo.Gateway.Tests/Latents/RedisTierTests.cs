using System.Net.Sockets;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Prompts;
using Flamingo.Gateway.Tests.Redis;
using Flamingo.Stages;
using Flamingo.Testing;
using Microsoft.Extensions.DependencyInjection;
using StackExchange.Redis;
using Testcontainers.Redis;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Latents;

/// <summary>A Redis server in a container. Without Docker the tests are skipped with a reason; in CI they fail.</summary>
public sealed class RedisContainerFixture : IAsyncLifetime
{
    private RedisContainer? _container;

    public RedisContainer Container
    {
        get
        {
            ContainerEngine.Require();
            return _container!;
        }
    }

    public async ValueTask InitializeAsync()
    {
        // The image of Testcontainers' cleanup container, Ryuk, is not available everywhere. This fixture disposes its containers itself.
        Environment.SetEnvironmentVariable("TESTCONTAINERS_RYUK_DISABLED", "true");
        if (!ContainerEngine.IsThere) return; // the property Container reports the reason
        await SpeakTheEnginesVersionAsync();
        var container = new RedisBuilder("redis:8-alpine").Build();
        await container.StartAsync();
        _container = container;
    }

    // Testcontainers requests Docker API 1.44, and older engines (Debian 12 has 1.41) refuse versions newer than their own.
    internal static async Task SpeakTheEnginesVersionAsync()
    {
        if (!File.Exists(ContainerEngine.Socket) || Environment.GetEnvironmentVariable("DOCKER_API_VERSION") is not null) return;
        using var client = new HttpClient(new SocketsHttpHandler
        {
            ConnectCallback = async (_, cancellation) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(ContainerEngine.Socket), cancellation);
                return new NetworkStream(socket, ownsSocket: true);
            },
        });
        using var version = JsonDocument.Parse(await client.GetStringAsync(new Uri("http://docker/version")));
        var api = version.RootElement.GetProperty("ApiVersion").GetString()!;
        if (Version.Parse(api) < new Version(1, 44)) Environment.SetEnvironmentVariable("DOCKER_API_VERSION", api);
    }

    public async ValueTask DisposeAsync()
    {
        if (_container is not null) await _container.DisposeAsync();
    }
}

public sealed class RedisTierTests(RedisContainerFixture redis) : IClassFixture<RedisContainerFixture>
{
    private const string Prefix = "flamingo:latents:";
    private readonly Stage _stage = new();

    [Fact(Timeout = 120_000)]
    public async Task A_restarted_gateway_finds_its_latents_and_garbage_is_a_miss()
    {
        var connection = await ConnectionMultiplexer.ConnectAsync(redis.Container.GetConnectionString());
        await using var _ = connection;
        var key = Prefix + KeyOf([1]);
        await UntilStoredAsync(connection, [key], async before =>
            Assert.Equal([PictureSource.Encoded], await before.GetRequiredService<IFlamingo>().SourcesAsync(Picture(1))));

        await using (var after = Gateway())
            Assert.Equal([PictureSource.Redis],
                await after.GetRequiredService<IFlamingo>().SourcesAsync(new FlamingoPictureId(PictureId.Of([1]))));
        Assert.InRange((await connection.GetDatabase().KeyTimeToLiveAsync(key))!.Value, TimeSpan.FromSeconds(1), TimeSpan.FromHours(1));

        await connection.GetDatabase().HashSetAsync(key, "data", new byte[] { 1, 2, 3 });
        await using (var garbled = Gateway())
            Assert.Equal([PictureSource.Encoded], await garbled.GetRequiredService<IFlamingo>().SourcesAsync(Picture(1)));
        await connection.GetDatabase().KeyDeleteAsync(key);
        await connection.GetDatabase().StringSetAsync(key, "another type");
        await using var strange = Gateway();
        Assert.Equal([PictureSource.Encoded], await strange.GetRequiredService<IFlamingo>().SourcesAsync(Picture(1)));
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 120_000)]
    public async Task What_maps_need_is_found_after_a_restart_too()
    {
        var connection = await ConnectionMultiplexer.ConnectAsync(redis.Container.GetConnectionString());
        await using var _ = connection;
        Task<List<AnswerEvent>> LookAsync(ServiceProvider gateway,
            FlamingoSegment picture) => gateway.GetRequiredService<IFlamingo>().GenerateAsync(
            new FlamingoRequest([picture], new SamplingParameters { MaxTokens = 4 }) { Attention = new AttentionChoice([], []) },
            TestContext.Current.CancellationToken).ToListAsync().AsTask();
        List<AnswerEvent> before = [], after;
        await UntilStoredAsync(
            connection, [Prefix + KeyOf([30]), Prefix + LatentKey.OfAttention(KeyOf([30]))],
            async gateway => before = await LookAsync(gateway, Picture(30)));

        await using (var gateway = Gateway()) after = await LookAsync(gateway, new FlamingoPictureId(PictureId.Of([30])));
        Assert.Equal(PictureSource.Redis, Assert.Single(((PicturesResolved)after[0]).Pictures).Source);
        static IEnumerable<float[]> Maps(
            List<AnswerEvent> answer) =>
                answer.OfType<AnswerTokens>().SelectMany(tokens => tokens.Attention).Select(map => map!.Map!.ToFloats());
        Assert.Equal(3, Maps(after).Count());
        Assert.Equal(Maps(before), Maps(after));
    }

    [Fact(Timeout = 120_000)]
    public async Task A_paused_redis_is_slower_and_never_an_error()
    {
        await using var services = Gateway("00:00:00.100");
        var flamingo = services.GetRequiredService<IFlamingo>();
        Assert.Equal([PictureSource.Encoded], await flamingo.SourcesAsync(Picture(2)));
        await redis.Container.PauseAsync(TestContext.Current.CancellationToken);
        try
        {
            for (byte picture = 10; picture < 20; picture++)
                Assert.Equal([PictureSource.Encoded], await flamingo.SourcesAsync(Picture(picture)));
        }
        finally
        {
            await redis.Container.UnpauseAsync(CancellationToken.None);
        }

        Assert.Equal([PictureSource.Memory], await flamingo.SourcesAsync(Picture(10)));
    }

    [Fact(Timeout = 60_000)]
    public async Task Without_any_redis_the_answer_comes_all_the_same()
    {
        await using var services = _stage.Services(("Redis:ConnectionString", "127.0.0.1:1"));
        var flamingo = services.GetRequiredService<IFlamingo>();
        Assert.Equal([PictureSource.Encoded], await flamingo.SourcesAsync(Picture(1)));
        Assert.Equal([PictureSource.Memory], await flamingo.SourcesAsync(Picture(1)));
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    // The budget is generous for tests that expect a hit, because this machine may be busy.
    // Disposing a gateway completes its writes. A write may fail, for example while the container still resumes after a pause; it is
    // not repeated, so another gateway with an empty memory asks again.
    private async Task UntilStoredAsync(IConnectionMultiplexer connection, RedisKey[] keys, Func<ServiceProvider, Task> ask)
    {
        do
        {
            TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
            await connection.GetDatabase().KeyDeleteAsync(keys);
            await using var gateway = Gateway();
            await ask(gateway);
        }
        while (await connection.GetDatabase().KeyExistsAsync(keys) < keys.Length);
    }

    private ServiceProvider Gateway(string budget = "00:00:05") =>
        _stage.Services(
            ("Redis:ConnectionString", redis.Container.GetConnectionString()),
            ("Redis:LookupBudget", budget), ("Redis:LeaseBudget", budget), ("Redis:WriteBudget", budget),
            ("Redis:TimeToLive", "01:00:00"), ("Redis:LeaseDuration", "00:00:15"));

    private string KeyOf(byte[] file) => LatentKey.Compute(
        PictureId.Of(file), _stage.Vision.WeightsDigest, _stage.Resampler.WeightsDigest, _stage.Vision.PreprocessingVersion,
        _stage.Resampler.LatentDtype, "");
}
