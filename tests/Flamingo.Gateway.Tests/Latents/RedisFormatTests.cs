using System.Buffers;
using Flamingo.Abstractions;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Prompts;
using Flamingo.Gateway.Tests.Redis;
using Flamingo.Stages;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Caching.StackExchangeRedis;
using Microsoft.Extensions.DependencyInjection;
using StackExchange.Redis;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Latents;

/// <summary>
/// Values in Redis have the format of Microsoft.Extensions.Caching.StackExchangeRedis, so that older gateways, which used that
/// package, and this one can share a Redis server.
/// </summary>
public sealed class RedisFormatTests : IAsyncLifetime
{
    private static readonly TimeSpan Life = TimeSpan.FromHours(1);

    private readonly Stage _stage = new();
    private readonly RespServer _server = new();
    private ConnectionMultiplexer _connection = null!;
    private RedisCache _library = null!;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _connection = await _server.ConnectAsync();
        _library = new RedisCache(new RedisCacheOptions
        {
            ConnectionMultiplexerFactory = () => Task.FromResult<IConnectionMultiplexer>(_connection), InstanceName = "flamingo:latents:",
        });
    }

    public async ValueTask DisposeAsync()
    {
        _library.Dispose();
        await _connection.DisposeAsync();
        _server.Dispose();
    }

    [Fact(Timeout = 60_000)]
    public async Task The_library_reads_what_the_gateway_wrote_and_prolongs_its_life()
    {
        // disposing the gateway waits for its write
        await using (var gateway = Gateway()) await gateway.GetRequiredService<IFlamingo>().SourcesAsync(Picture(1));
        var bytes = await _library.GetAsync(KeyOf(1), Cancellation);
        Assert.Equal(Enumerable.Repeat(1f, 10), LatentValue.Read(KeyOf(1), bytes, (_, _) => true)!.Latents.Tensor.ToFloats());

        var fields = await _connection.GetDatabase().HashGetAllAsync(NameOf(1));
        Assert.Equal(["absexp", "data", "sldexp"], fields.Select(field => (string)field.Name!).Order(StringComparer.Ordinal));
        await _connection.GetDatabase().KeyExpireAsync(NameOf(1), TimeSpan.FromMinutes(1));
        await _library.RefreshAsync(KeyOf(1), Cancellation);
        Assert.InRange((await _connection.GetDatabase().KeyTimeToLiveAsync(NameOf(1)))!.Value, Life - TimeSpan.FromMinutes(1), Life);
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task The_gateway_reads_what_the_library_wrote_and_writes_the_same_fields()
    {
        var value = new LatentValue(ChecksummedLatents.Of(TensorData.FromFloats(new float[10], 2, 5)), TimeSpan.FromSeconds(1));
        await _library.SetAsync(
            KeyOf(1), value.Write(KeyOf(1)).ToArray(), new DistributedCacheEntryOptions { SlidingExpiration = Life }, Cancellation);
        await using (var gateway = Gateway())
        {
            var flamingo = gateway.GetRequiredService<IFlamingo>();
            Assert.Equal([PictureSource.Redis, PictureSource.Encoded], await flamingo.SourcesAsync(Picture(1), Picture(2)));
        }

        var (library, ours) = (await FieldsAsync(1), await FieldsAsync(2));
        Assert.Equal(library, ours);
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();

        async Task<List<string>> FieldsAsync(byte picture)
        {
            var fields = await _connection.GetDatabase().HashGetAllAsync(NameOf(picture));
            var life = (await _connection.GetDatabase().KeyTimeToLiveAsync(NameOf(picture)))!.Value;
            Assert.InRange(life, Life - TimeSpan.FromMinutes(1), Life);
            return [.. fields.Select(field => field.Name == "data" ? "data" : $"{field.Name} {field.Value}").Order(StringComparer.Ordinal)];
        }
    }

    private ServiceProvider Gateway() => _stage.Services(
        ("Redis:ConnectionString", _server.Address),
        ("Redis:LookupBudget", "00:00:05"), ("Redis:LeaseBudget", "00:00:05"), ("Redis:WriteBudget", "00:00:05"),
        ("Redis:TimeToLive", Life.ToString()),
        ("Redis:LeaseDuration", "00:00:15"));

    private string NameOf(byte picture) => "flamingo:latents:" + KeyOf(picture);

    private string KeyOf(byte picture) => LatentKey.Compute(
        PictureId.Of([picture]), _stage.Vision.WeightsDigest, _stage.Resampler.WeightsDigest, _stage.Vision.PreprocessingVersion,
        _stage.Resampler.LatentDtype, "");
}
