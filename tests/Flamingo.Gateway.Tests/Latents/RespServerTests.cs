using System.Buffers;
using Flamingo.Abstractions;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Operations;
using Flamingo.Gateway.Prompts;
using Flamingo.Gateway.Tests.Redis;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using StackExchange.Redis;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Latents;

/// <summary>Tests the Redis tier on a server inside this process.</summary>
public sealed class RespServerTests : IDisposable
{
    private readonly Stage _stage = new();
    private readonly RespServer _server = new();

    public void Dispose() => _server.Dispose();

    [Fact(Timeout = 60_000)]
    public async Task A_miss_is_written_and_a_restarted_gateway_hits_it()
    {
        await using var connection = await _server.ConnectAsync();
        await using (var before = Gateway())
        {
            Assert.Equal([PictureSource.Encoded], await before.GetRequiredService<IFlamingo>().SourcesAsync(Picture(1)));
            await WrittenAsync(connection, 1);
        }

        Assert.InRange((await connection.GetDatabase().KeyTimeToLiveAsync(KeyOf(1)))!.Value, TimeSpan.FromSeconds(1),
            TimeSpan.FromHours(1));

        await using var after = Gateway();
        Assert.Equal([PictureSource.Redis],
            await after.GetRequiredService<IFlamingo>().SourcesAsync(new FlamingoPictureId(PictureId.Of([1]))));
        Assert.Equal([PictureSource.Memory], await after.GetRequiredService<IFlamingo>().SourcesAsync(Picture(1)));
        Assert.Single(_stage.Encodes);
        Assert.Equal(Sent(0), Sent(1)); // the third call sends no latents, because they were delivered before
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task What_is_used_lives_on()
    {
        await using var connection = await _server.ConnectAsync();
        await using (var before = Gateway())
        {
            await before.GetRequiredService<IFlamingo>().SourcesAsync(Picture(1));
            await WrittenAsync(connection, 1);
        }

        await connection.GetDatabase().KeyExpireAsync(KeyOf(1), TimeSpan.FromMinutes(1));
        await using var after = Gateway();
        Assert.Equal([PictureSource.Redis], await after.GetRequiredService<IFlamingo>().SourcesAsync(Picture(1)));
        Assert.InRange((await connection.GetDatabase().KeyTimeToLiveAsync(KeyOf(1)))!.Value, TimeSpan.FromMinutes(50),
            TimeSpan.FromHours(1));
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task Garbage_is_a_miss_and_is_written_over()
    {
        await using var connection = await _server.ConnectAsync();
        await using (var before = Gateway())
        {
            await before.GetRequiredService<IFlamingo>().SourcesAsync(Picture(1));
            await WrittenAsync(connection, 1);
        }

        var whole = (byte[])(await connection.GetDatabase().HashGetAsync(KeyOf(1), "data"))!;
        var entry = LatentValue.Read(NameOf(1), whole, (_, _) => true)!;
        var (turned, another) = (new TensorData(TensorDtype.Float32, [5, 2], entry.Latents.Tensor.Bytes),
            TensorData.FromFloats(new float[10], 2, 5));
        byte[][] values =
        [
            [1, 2, 3], new byte[whole.Length], whole[..^1], [.. whole[..^1], (byte)(whole[^1] ^ 1)],
            new LatentValue(ChecksummedLatents.Of(turned), default).Write(NameOf(1)).ToArray(), // valid except for the shape
            new LatentValue(ChecksummedLatents.Of(another), default).Write(NameOf(2)).ToArray(), // latents of another picture
        ];
        foreach (var garbage in values)
        {
            await connection.GetDatabase().HashSetAsync(KeyOf(1), "data", garbage);
            await using var gateway = Gateway();
            Assert.Equal([PictureSource.Encoded], await gateway.GetRequiredService<IFlamingo>().SourcesAsync(Picture(1)));
            Assert.Equal(1, gateway.GetRequiredService<LatentCacheOperations>().Read().Redis!.Corrupt);
            while (!await HoldsAsync(connection, whole)) TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
        }

        await connection.GetDatabase().KeyDeleteAsync(KeyOf(1));
        await connection.GetDatabase().StringSetAsync(KeyOf(1), "another type");
        await using var strange = Gateway();
        Assert.Equal([PictureSource.Encoded], await strange.GetRequiredService<IFlamingo>().SourcesAsync(Picture(1)));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_value_that_redis_refuses_to_read_is_a_miss_and_those_beside_it_are_hits()
    {
        await using var connection = await _server.ConnectAsync();
        await using (var before = Gateway())
        {
            await before.GetRequiredService<IFlamingo>().SourcesAsync(Picture(1), Picture(2), Picture(3));
            for (byte picture = 1; picture <= 3; picture++) await WrittenAsync(connection, picture);
        }

        await connection.GetDatabase().KeyDeleteAsync(KeyOf(2));
        await connection.GetDatabase().StringSetAsync(KeyOf(2), "another type");
        await using var after = Gateway();
        Assert.Equal(
            [PictureSource.Redis, PictureSource.Encoded, PictureSource.Redis],
            await after.GetRequiredService<IFlamingo>().SourcesAsync(Picture(1), Picture(2), Picture(3)));
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 120_000)]
    public async Task A_server_that_goes_and_comes_back_empty_is_used_again()
    {
        await using var gateway = Gateway();
        var flamingo = gateway.GetRequiredService<IFlamingo>();
        Assert.Equal([PictureSource.Encoded], await flamingo.SourcesAsync(Picture(1)));
        _server.Stop();
        Assert.Equal([PictureSource.Encoded], await flamingo.SourcesAsync(Picture(2)));
        Assert.Equal([PictureSource.Memory], await flamingo.SourcesAsync(Picture(1)));

        _server.StartAgain();
        await using var connection = await _server.ConnectAsync();
        byte[]? written = null;
        for (var number = 0; written is null; number++) // new pictures, until the gateway has reconnected and writes again
        {
            TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
            byte[] file = [3, (byte)(number >> 16), (byte)(number >> 8), (byte)number];
            Assert.Equal([PictureSource.Encoded], await flamingo.SourcesAsync(Picture(file)));
            if (await connection.GetDatabase().KeyExistsAsync(KeyOf(file))) written = file;
        }

        await using var other = Gateway();
        Assert.Equal([PictureSource.Redis, PictureSource.Encoded],
            await other.GetRequiredService<IFlamingo>().SourcesAsync(Picture(written), Picture(1)));
    }

    private string Sent(int prompt)
    {
        var picture = Assert.Single(_stage.Prompts.ElementAt(prompt).OfType<PictureSegment>());
        return $"{picture.Key} {Convert.ToHexString(picture.Latents!.Tensor.Bytes.Span)}";
    }

    // Compares everything except the header, which contains the time that encoding took.
    private async Task<bool> HoldsAsync(ConnectionMultiplexer connection, byte[] value) =>
        await connection.GetDatabase().HashGetAsync(KeyOf(1), "data") is { IsNull: false } held && value.Length == held.Length()
            && value.AsSpan(LatentValue.HeaderBytes).SequenceEqual(((byte[])held!)[LatentValue.HeaderBytes..]);

    // The write follows the answer.
    private async Task WrittenAsync(ConnectionMultiplexer connection, byte picture)
    {
        while (!await connection.GetDatabase().KeyExistsAsync(KeyOf(picture)))
            TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    private ServiceProvider Gateway() => _stage.Services(
        ("Redis:ConnectionString", _server.Address),
        ("Redis:LookupBudget", "00:00:05"), ("Redis:LeaseBudget", "00:00:05"), ("Redis:WriteBudget", "00:00:05"),
        ("Redis:TimeToLive", "01:00:00"),
        ("Redis:BreakDuration", "00:00:00.500"), ("Redis:LeaseDuration", "00:00:15"));

    private string KeyOf(params byte[] file) => "flamingo:latents:" + NameOf(file);

    private string NameOf(params byte[] file) => LatentKey.Compute(
        PictureId.Of(file), _stage.Vision.WeightsDigest, _stage.Resampler.WeightsDigest, _stage.Vision.PreprocessingVersion,
        _stage.Resampler.LatentDtype, "");
}
