using Flamingo.Gateway.Tests.Redis;
using Flamingo.Protos.V1;
using Flamingo.SystemTests.Episodes;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using StackExchange.Redis;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.SystemTests.Distributed;

/// <summary>
/// Several gateways share one Redis (Garnet, in this process). The vision encoder's counter shows that a picture is encoded once.
/// </summary>
public sealed class SharedCacheTests(Stack shared) : HostTests(shared), IDisposable
{
    private const int Clients = 100;
    private readonly RespServer _redis = new();

    public void Dispose() => _redis.Dispose();

    [Fact(Timeout = 180_000)]
    public async Task A_hundred_clients_of_three_gateways_with_one_new_picture_cost_one_encoding()
    {
        var vision = await StartReadyAsync("VisionEncoder");
        var gateways = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => StartSharingGatewayAsync(vision.Port)));
        // connects the gateways and loads the stages' descriptions
        await Task.WhenAll(gateways.Select(gateway => EncodeAsync(gateway, "0020.png")));
        Assert.Equal(1, await ComputedAsync(vision));

        var reports = await Task.WhenAll(
            Enumerable.Range(0, Clients).Select(client => EncodeAsync(gateways[client % gateways.Length], "0021.png")));
        Assert.Equal(2, await ComputedAsync(vision));
        Assert.Single(reports.Select(report => report.Pictures.Single().Id).Distinct());
        var waits = reports.Sum(report => report.Cache.Waits);
        var hits = reports.Sum(report => report.Cache.MemoryHits + report.Cache.RedisHits);
        Assert.Equal(Clients - 1, waits + hits); // all other clients waited or had a cache hit
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 180_000)]
    public async Task An_owner_that_is_killed_costs_one_more_encoding_at_most_and_every_client_is_served()
    {
        var vision = await StartReadyAsync("VisionEncoder");
        var gateways = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => StartSharingGatewayAsync(vision.Port)));
        await Task.WhenAll(gateways.Select(gateway => EncodeAsync(gateway, "0020.png")));
        await using var redis = await ConnectionMultiplexer.ConnectAsync(_redis.Address);
        var before = await KeysAsync(redis);

        vision.Freeze();
        var first = EncodeAsync(gateways[0], "0022.png");
        while ((await KeysAsync(redis)).Except(before).Count() < 1) Assert.False(first.IsCompleted); // the lease of the first request
        // Each of the 100 clients uses the next gateway if its own has stopped.
        var asked = Enumerable.Range(0, Clients).Select(
            client => EncodeAsync(gateways[client % 3], "0022.png", gateways[1 + (client % 2)])).ToList();
        await gateways[0].KillAsync();
        await Assert.ThrowsAsync<RpcException>(() => first);
        vision.Resume();

        var reports = await Task.WhenAll(asked);
        Assert.Equal(Clients, reports.Length);
        Assert.InRange(await ComputedAsync(vision), 2, 3); // the earlier picture, and at most two encodings of this one
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 180_000)]
    public async Task After_a_restart_of_every_service_an_old_picture_is_not_encoded()
    {
        var prompt = new GenerateRequest {
            Segments = { new PromptSegment { Picture = Bytes("0023.png") }, new PromptSegment { Text = "Output:" } },
            Sampling = new Sampling { MaxTokens = 14 } };
        string? said = null;
        for (var life = 0; life < 2; life++)
        {
            HostProcess[] stages = [Start("VisionEncoder"), Start("Resampler"), Start("LanguageModel")];
            await Task.WhenAll(stages.Select(stage => stage.ReadyAsync()));
            var gateway = await StartGatewayAsync(stages[0].Port, stages[1].Port, stages[2].Port, Sharing);
            var (pictures, text) = await AskAsync(gateway, prompt, "");
            Assert.Equal(life == 0 ? PictureSource.Encoded : PictureSource.Redis, Assert.Single(pictures.Pictures).Source);
            Assert.Equal(1 - life, await ComputedAsync(stages[0]));
            Assert.Equal(said ??= text, text);
            if (life == 1) Assert.True(pictures.Cache.SavedMs > 0);
            await using var redis = await ConnectionMultiplexer.ConnectAsync(_redis.Address);
            // written behind the answer
            while (!(await KeysAsync(redis)).Any(key => key.StartsWith("flamingo:latents:", StringComparison.Ordinal)))
                TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
            foreach (var host in stages.Append(gateway)) await host.KillAsync();
        }
    }

    [Fact(Timeout = 180_000)]
    public async Task Nothing_crosses_tenants()
    {
        var vision = await StartReadyAsync("VisionEncoder");
        var gateway = await StartSharingGatewayAsync(vision.Port);
        var prompt = new GenerateRequest { Sampling = new Sampling { MaxTokens = 4 } };
        foreach (var shot in new[] { "0024.png", "0025.png" })
            prompt.Segments.AddRange([new PromptSegment { Picture = Bytes(shot) },
                new PromptSegment { Text = "Output:a large white square<|endofchunk|>" }]);

        var (pictures, _) = await AskAsync(gateway, prompt, "a");
        Assert.Equal(2, await ComputedAsync(vision));
        Assert.InRange(await CachedAsync(gateway, prompt, "a"), 8, int.MaxValue); // the tenant's own prefix is cached
        Assert.Equal(2, await ComputedAsync(vision));

        Assert.Equal(0, await CachedAsync(gateway, prompt, "b"));
        Assert.Equal(4, await ComputedAsync(vision));
        var byId = new GenerateRequest { Segments = { new PromptSegment { PictureId = pictures.Pictures[0].Id } },
            Sampling = new Sampling { MaxTokens = 1 } };
        Assert.Equal(StatusCode.NotFound, (await Assert.ThrowsAsync<RpcException>(() => AskAsync(gateway, byId, "c"))).StatusCode);
        await AskAsync(gateway, byId, "a");

        using var channel = GrpcChannel.ForAddress(gateway.Address);
        var sets = new V1.SupportSets.SupportSetsClient(channel);
        await sets.PutAsync(new PutSupportSetRequest { Name = "s",
            Examples = { new Example { Picture = Bytes("0024.png"), Text = "Output:a large white square" } } }, Metadata("a"),
            cancellationToken: Cancellation);
        Assert.Equal(StatusCode.NotFound,
            (await Assert.ThrowsAsync<RpcException>(
                () =>
                    sets.GetAsync(new GetSupportSetRequest { Name = "s" }, Metadata("b"),
                        cancellationToken: Cancellation).ResponseAsync)).StatusCode);
        Assert.Equal(StatusCode.InvalidArgument,
            (await Assert.ThrowsAsync<RpcException>(
                () =>
                    sets.GetAsync(new GetSupportSetRequest { Name = "s" }, Metadata("a/b"),
                        cancellationToken: Cancellation).ResponseAsync)).StatusCode);
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    private (string, string)[] Sharing =>
        [("Redis__ConnectionString", _redis.Address),
         ("Redis__LookupBudget", "00:00:02"), ("Redis__LeaseBudget", "00:00:02"),
         ("Redis__LeaseDuration", "00:00:06")];

    private Task<HostProcess> StartSharingGatewayAsync(int vision) => StartGatewayAsync(vision: vision, options: Sharing);

    private static ByteString Bytes(string picture) => ByteString.CopyFrom(Episode.Picture(picture).Bytes.Span);

    private static Metadata Metadata(string tenant) => tenant.Length == 0 ? [] : new Metadata { { "flamingo-tenant", tenant } };

    // Each call uses its own connection, like a separate client.
    private static async Task<EncodeResponse> EncodeAsync(HostProcess gateway, string picture, HostProcess? next = null)
    {
        var request = new EncodeRequest { Pictures = { new Visual { Picture = Bytes(picture) } } };
        try
        {
            using var channel = GrpcChannel.ForAddress(gateway.Address);
            return await new V1.Flamingo.FlamingoClient(channel).EncodeAsync(request, cancellationToken: Cancellation);
        }
        catch (RpcException exception) when (next is not null && exception.StatusCode is StatusCode.Unavailable or StatusCode.Internal)
        {
            using var channel = GrpcChannel.ForAddress(next!.Address);
            return await new V1.Flamingo.FlamingoClient(channel).EncodeAsync(request, cancellationToken: Cancellation);
        }
    }

    private static async Task<int> CachedAsync(HostProcess gateway, GenerateRequest request, string tenant)
    {
        using var channel = GrpcChannel.ForAddress(gateway.Address);
        using var call = new V1.Flamingo.FlamingoClient(channel).Generate(request, Metadata(tenant), cancellationToken: Cancellation);
        var finished = (await call.ResponseStream.ReadAllAsync(Cancellation).ToListAsync(Cancellation))[^1].Finished;
        return finished.CachedTokens;
    }

    private static async Task<(PicturesResolved Pictures, string Text)> AskAsync(HostProcess gateway, GenerateRequest request,
        string tenant)
    {
        using var channel = GrpcChannel.ForAddress(gateway.Address);
        using var call = new V1.Flamingo.FlamingoClient(channel).Generate(request, Metadata(tenant), cancellationToken: Cancellation);
        var answer = await call.ResponseStream.ReadAllAsync(Cancellation).ToListAsync(Cancellation);
        Assert.Equal($"{answer[0].Pictures.Cache.Encoded}", call.GetTrailers().GetValue("flamingo-encoded"));
        return (answer[0].Pictures, string.Concat(answer.Select(message => message.Tokens?.Text)));
    }

    private static async Task<long> ComputedAsync(HostProcess vision)
    {
        using var channel = GrpcChannel.ForAddress(vision.Address);
        return (await new V1.VisionEncoder.VisionEncoderClient(channel).GetStatisticsAsync(new GetVisionEncoderStatisticsRequest(),
            cancellationToken: Cancellation)).Pictures;
    }

    private static async Task<List<string>> KeysAsync(ConnectionMultiplexer redis)
    {
        var keys = new List<string>();
        await foreach (var key in redis.GetServers()[0].KeysAsync()) keys.Add(key!);
        return keys;
    }
}
