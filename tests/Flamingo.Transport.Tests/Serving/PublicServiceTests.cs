using System.Net;
using Flamingo.Abstractions;
using Flamingo.Client;
using Flamingo.Testing;
using Flamingo.Transport.Serving;
using Flamingo.Wire;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Tests.Serving;

/// <summary>Tests the public services over gRPC: tenants in metadata, cache use in trailers, and support sets.</summary>
public sealed class PublicServiceTests : IAsyncLifetime
{
    private const int Limit = 30_000;

    private readonly FakeFlamingo _fake = new();
    private WebApplication _server = null!;
    private FlamingoClient _remote = null!;
    private GrpcChannel _channel = null!;

    private V1.Flamingo.FlamingoClient Raw => new(_channel);

    public async ValueTask InitializeAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(
            kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        builder.Services.AddStageServing().AddSingleton<IFlamingo>(_fake).AddSingleton<ITasks>(_fake).AddSingleton<ISupportSets>(_fake)
            .AddSingleton<ILatentCacheOperations>(_fake);
        _server = builder.Build();
        _server.MapFlamingo();
        await _server.StartAsync();
        (_remote, _channel) = (new FlamingoClient(_server.Urls.Single()), GrpcChannel.ForAddress(_server.Urls.Single()));
    }

    public async ValueTask DisposeAsync()
    {
        _remote.Dispose();
        _channel.Dispose();
        await _server.DisposeAsync();
    }

    [Theory(Timeout = Limit)]
    [InlineData("")]
    [InlineData("team-a.1")]
    public async Task Every_call_says_who_asks(string tenant)
    {
        var cancellation = TestContext.Current.CancellationToken;
        var (sampling, set) = (new SamplingParameters { Seed = 1 },
            new PutSupportSet("words", [new(new FlamingoPicture(new byte[] { 1 }), "a dog")]) { Tenant = tenant });
        await AskedAsync(
            "Generate",
            new FlamingoRequest([new FlamingoText("x")], sampling) { Tenant = tenant, SupportSet = new("words", ShotSelection.Rices, 2) },
            async request => await _remote.GenerateAsync(request, cancellation).ToListAsync(cancellation));
        await AskedAsync("Rank", new FlamingoRankRequest([new FlamingoText("x")],
            ["y"]) { Tenant = tenant, SupportSet = new("words"), Ensemble = new(4, 7) },
            request => _remote.RankAsync(request, cancellation));
        await AskedAsync("Encode", new FlamingoEncodeRequest(
            [new FlamingoVideo(new VisualInput([new byte[] { 1 }], 3))]) { Tenant = tenant },
            request => _remote.EncodeAsync(request, cancellation));
        var asking = new TaskPrompt(new FlamingoPicture(new byte[] { 1 })) { Tenant = tenant };
        await AskedAsync("Caption", new CaptionTask(asking, sampling), task => _remote.CaptionAsync(task, cancellation));
        await AskedAsync("Answer", new AnswerTask(asking, "why?", sampling), task => _remote.AnswerAsync(task, cancellation));
        await AskedAsync("Classify", new ClassifyTask(asking, ["a"]), task => _remote.ClassifyAsync(task, cancellation));
        await AskedAsync(
            "Chat",
            new ChatTask([new([asking.Visual], "what?", "a dog"), new([], "why?")], sampling)
            {
                Tenant = tenant, PinPrefix = TimeSpan.FromSeconds(1),
            },
            async task => Assert.Equal(2, (await _remote.ChatAsync(task, cancellation).ToListAsync(cancellation)).Count));
        await AskedAsync("Put", set, request => _remote.SupportSets.PutAsync(request, cancellation));
        await AskedAsync("Get", "words", name => _remote.SupportSets.GetAsync(tenant, name, cancellation));
        await AskedAsync("Delete", "words", name => _remote.SupportSets.DeleteAsync(tenant, name, cancellation));
        await AskedAsync("List", (object?)null, _ => _remote.SupportSets.ListAsync(tenant, cancellation));

        async Task AskedAsync<T>(string method, T request, Func<T, Task> ask)
        {
            await ask(request);
            Assert.Equal((method, tenant), (_fake.Asked.Method, _fake.Asked.Tenant));
            Same.Content(request, _fake.Asked.Request);
        }
    }

    [Theory(Timeout = Limit)]
    [InlineData("two words")]
    [InlineData("a/b")]
    [InlineData("0123456789012345678901234567890123456789012345678901234567890123456789"
        + "012345678901234567890123456789012345678901234567890123456789")]
    public async Task A_tenant_that_is_no_name_is_refused(string tenant)
    {
        var cancellation = TestContext.Current.CancellationToken;
        var headers = new Metadata { { TenantHeader.Name, tenant } };
        foreach (var ask in new Func<Task>[]
        {
            () => Raw.Generate(new V1.GenerateRequest(), headers, cancellationToken: cancellation).ResponseStream.MoveNext(cancellation),
            async () => await Raw.RankAsync(new V1.RankRequest(), headers, cancellationToken: cancellation),
            async () => await Raw.EncodeAsync(new V1.EncodeRequest(), headers, cancellationToken: cancellation),
            async () =>
                await new V1.SupportSets.SupportSetsClient(_channel).ListAsync(new V1.ListSupportSetsRequest(), headers,
                    cancellationToken: cancellation),
            () =>
                new V1.Tasks.TasksClient(_channel).Chat(new V1.ChatRequest(), headers,
                    cancellationToken: cancellation).ResponseStream.MoveNext(cancellation),
        })
        {
            var refusal = (await Assert.ThrowsAsync<RpcException>(ask)).ToFlamingoException("Gateway");
            Assert.Equal("metadata flamingo-tenant", Assert.Single(refusal.Faults).Field);
        }

        Assert.Null(_fake.Asked.Method);
    }

    [Fact(Timeout = Limit)]
    public async Task What_the_cache_did_stands_in_the_trailers_too()
    {
        var cancellation = TestContext.Current.CancellationToken;
        using var generate = Raw.Generate(new V1.GenerateRequest(), cancellationToken: cancellation);
        await generate.ResponseStream.ReadAllAsync(cancellation).ToListAsync(cancellation);
        Told(generate.GetTrailers());

        using var chat = new V1.Tasks.TasksClient(_channel).Chat(new V1.ChatRequest(), cancellationToken: cancellation);
        await chat.ResponseStream.ReadAllAsync(cancellation).ToListAsync(cancellation);
        Told(chat.GetTrailers());

        using var rank = Raw.RankAsync(new V1.RankRequest(), cancellationToken: cancellation);
        Assert.Equal(12.25, (await rank).Cache.SavedMs);
        Told(rank.GetTrailers());

        using var encode = Raw.EncodeAsync(new V1.EncodeRequest(), cancellationToken: cancellation);
        Assert.Equal(3, (await encode).Cache.Encoded);
        Told(encode.GetTrailers());

        // An answer that fails also carries the counts in its trailers.
        _fake.Breaks = new FlamingoException(FlamingoErrorKind.Internal, "broken");
        using var broken = Raw.Generate(new V1.GenerateRequest(), cancellationToken: cancellation);
        await Assert.ThrowsAsync<RpcException>(
            async () => await broken.ResponseStream.ReadAllAsync(cancellation).ToListAsync(cancellation));
        Told(broken.GetTrailers());

        static void Told(Metadata trailers) => Assert.Equal(
            [("flamingo-memory-hits", "1"), ("flamingo-redis-hits", "2"), ("flamingo-encoded", "3"), ("flamingo-waits", "1"),
                ("flamingo-saved-ms", "12.2")],
            trailers.Where(entry => entry.Key.StartsWith("flamingo-", StringComparison.Ordinal)).Select(entry => (entry.Key, entry.Value)));
    }

    [Fact(Timeout = Limit)]
    public async Task Support_sets_come_as_they_left_and_one_that_is_not_there_is_named_as_a_set()
    {
        var cancellation = TestContext.Current.CancellationToken;
        Same.Content(FakeFlamingo.Words, await _remote.SupportSets.PutAsync(new PutSupportSet("words", []), cancellation));
        Same.Content(FakeFlamingo.Words, await _remote.SupportSets.GetAsync("", "words", cancellation));
        Same.Content(new[] { FakeFlamingo.Words with { Examples = [] } }, await _remote.SupportSets.ListAsync("", cancellation));
        var missing = await Assert.ThrowsAsync<FlamingoException>(() => _remote.SupportSets.GetAsync("", "others", cancellation));
        Assert.Equal((FlamingoErrorKind.NotFound, FlamingoException.SupportSet, "others"),
            (missing.Kind, missing.MissingResource, Assert.Single(missing.Missing)));
    }

    [Fact(Timeout = Limit)]
    public async Task The_resolved_pictures_tell_cache_and_shots()
    {
        var cancellation = TestContext.Current.CancellationToken;
        var first = Assert.IsType<PicturesResolved>(
            await _remote.GenerateAsync(new FlamingoRequest([new FlamingoText("x")], new SamplingParameters()), cancellation)
                .FirstAsync(cancellation));
        Same.Content(FakeFlamingo.Cache, first.Cache);
        Same.Content(new SelectedShots("words", 3, [1, 0]), first.Shots);
    }
}
