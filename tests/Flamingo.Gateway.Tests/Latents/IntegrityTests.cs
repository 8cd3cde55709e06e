using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using Flamingo.Abstractions;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Operations;
using Flamingo.Gateway.Redis;
using Flamingo.Gateway.Tests.Redis;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using StackExchange.Redis;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Latents;

/// <summary>With Redis:IntegrityKey, nobody who can write to Redis can make one picture's latents another's.</summary>
public sealed class IntegrityTests : IDisposable
{
    private const string Secret = "the key of these tests";
    private static readonly LatentValue Entry =
        new(ChecksummedLatents.Of(TensorData.FromFloats([1, 2, 3, 4, 5, 6], 2, 3)), TimeSpan.FromMilliseconds(3.5));

    private readonly Stage _stage = new();
    private readonly RespServer _server = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => _server.Dispose();

    [Fact]
    public void Without_a_key_the_seal_is_the_SHA256_of_header_and_name_as_before()
    {
        var value = Entry.Write("key", new IntegritySeal("")).ToArray();
        Assert.Equal(SHA256.HashData([.. value[..64], .. "key"u8]), value[64..96]);
        Assert.Equal(value, Entry.Write("key").ToArray());
    }

    [Fact]
    public void With_a_key_the_seal_is_an_HMAC_and_any_other_seal_is_a_miss()
    {
        var seal = new IntegritySeal(Secret);
        var value = Entry.Write("key", seal).ToArray();
        Assert.Equal(HMACSHA256.HashData(Encoding.UTF8.GetBytes(Secret), (byte[])[.. value[..64], .. "key"u8]), value[64..96]);
        Assert.NotNull(Read(value, "key", seal));
        Assert.Null(Read(value, "another", seal));
        Assert.Null(Read(value, "key", IntegritySeal.Plain));
        Assert.Null(Read(value, "key", new IntegritySeal(Secret + "x")));
        Assert.Null(Read(Entry.Write("key").ToArray(), "key", seal));
        for (var bit = 0; bit < 8 * value.Length; bit++)
        {
            value[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.True(Read(value, "key", seal) is null, $"bit {bit} was accepted");
            value[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    [Theory(Timeout = 60_000)]
    [InlineData(""), InlineData(Secret)]
    public async Task A_poisoned_Redis_serves_forged_latents_only_to_a_gateway_without_a_key(string key)
    {
        await using var connection = await _server.ConnectAsync();
        var forged = new LatentValue(
            ChecksummedLatents.Of(TensorData.FromFloats([.. Enumerable.Repeat(66f, 10)], 2, 5)), TimeSpan.FromSeconds(1));
        await connection.GetDatabase().HashSetAsync("flamingo:latents:" + KeyOf(1), "data", forged.Write(KeyOf(1)).ToArray());
        await using var gateway = Gateway(key);
        var source = Assert.Single(await gateway.GetRequiredService<IFlamingo>().SourcesAsync(Picture(1)));
        var sent = Assert.Single(_stage.Prompts.Last().OfType<PictureSegment>()).Latents!.Tensor.ToFloats()[0];
        Assert.Equal(key == "" ? (PictureSource.Redis, 66f) : (PictureSource.Encoded, 1f), (source, sent));
        if (key == "") return;
        Assert.Equal(1, gateway.GetRequiredService<LatentCacheOperations>().Read().Redis!.Corrupt);

        // The forged value is written over, and another gateway with the same key uses what this one wrote.
        while (gateway.GetRequiredService<LatentCacheOperations>().Read().Redis!.BytesWritten == 0) await Task.Delay(1, Cancellation);
        await using var next = Gateway(key);
        Assert.Equal([PictureSource.Redis], await next.GetRequiredService<IFlamingo>().SourcesAsync(Picture(1)));
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    private static LatentValue? Read(byte[] value, string name, IntegritySeal seal) => LatentValue.Read(name, value, (_, _) => true, seal);

    private ServiceProvider Gateway(string key) => _stage.Services(
        ("Redis:ConnectionString", _server.Address), ("Redis:IntegrityKey", key), ("Redis:LeaseDuration", "00:00:15"),
        ("Redis:LookupBudget", "00:00:10"), ("Redis:LeaseBudget", "00:00:10"), ("Redis:WriteBudget", "00:00:10"));

    private string KeyOf(byte picture) => LatentKey.Compute(
        PictureId.Of([picture]), _stage.Vision.WeightsDigest, _stage.Resampler.WeightsDigest, _stage.Vision.PreprocessingVersion,
        _stage.Resampler.LatentDtype, "");
}
