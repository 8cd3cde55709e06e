using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using Flamingo.Abstractions;
using Flamingo.Protos.V1;
using Flamingo.Wire;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Flamingo.Cli.Tests.Caching;

/// <summary>A fake gateway on a real port. It stores and counts the pictures that it receives, and fails as a test configures.</summary>
internal sealed class FakeGateway : IAsyncDisposable
{
    private WebApplication? _server;

    public string Address => _server!.Urls.Single();

    /// <summary>Ids of pictures held, by tenant.</summary>
    public ConcurrentDictionary<(string Tenant, string Id), bool> Held { get; } = new();

    /// <summary>For each call the pictures that were sent as bytes.</summary>
    public ConcurrentQueue<int> Sent { get; } = [];

    /// <summary>Whether every call requested pooled embeddings too.</summary>
    public bool AlwaysPooled { get; private set; } = true;

    public Protos.V1.CacheStatistics Statistics { get; set; } = new();

    public bool Cleared { get; private set; }

    /// <summary>Called before every Encode; its exception becomes the error of the call.</summary>
    public Action Encoding { get; set; } = () => { };

    public static async Task<FakeGateway> StartAsync()
    {
        var gateway = new FakeGateway();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(
            kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        builder.Services.AddGrpc();
        builder.Services.AddSingleton(gateway);
        gateway._server = builder.Build();
        gateway._server.MapGrpcService<PublicService>();
        gateway._server.MapGrpcService<CacheService>();
        await gateway._server.StartAsync();
        return gateway;
    }

    public ValueTask DisposeAsync() => _server!.DisposeAsync();

    private sealed class PublicService(FakeGateway gateway) : Protos.V1.Flamingo.FlamingoBase
    {
        public override Task<EncodeResponse> Encode(EncodeRequest request, ServerCallContext context)
        {
            try
            {
                gateway.Encoding();
                gateway.AlwaysPooled &= request.IncludePooled;
                return Task.FromResult(Encode(request, context.RequestHeaders.GetValue(TenantHeader.Name) ?? ""));
            }
            catch (FlamingoException refusal)
            {
                throw refusal.ToRpcException();
            }
        }

        private EncodeResponse Encode(EncodeRequest request, string tenant)
        {
            gateway.Sent.Enqueue(request.Pictures.Count(picture => picture.HasPicture));
            var bad = request.Pictures.Index()
                .Where(picture => picture.Item.HasPicture && picture.Item.Picture.Length > 0 && picture.Item.Picture[0] == 'X').ToList();
            if (bad.Count > 0)
                throw FlamingoException.Invalid(
                    [.. bad.Select(picture => new FieldFault($"pictures[{picture.Index}].picture", "This is no picture.", "Send one."))]);
            foreach (var picture in request.Pictures.Where(picture => picture.HasPicture))
                gateway.Held[(tenant, Convert.ToHexStringLower(SHA256.HashData(picture.Picture.Span)))] = true;
            var missing = request.Pictures.Where(picture => !picture.HasPicture && !gateway.Held.ContainsKey((tenant, picture.PictureId)))
                .Select(picture => picture.PictureId).ToList();
            if (missing.Count > 0) throw new FlamingoException(FlamingoErrorKind.NotFound, "Nobody holds these.") { Missing = missing };
            return new EncodeResponse { Timings = new Protos.V1.StageTimings(), Digests = new Protos.V1.ModelDigests() };
        }
    }

    private sealed class CacheService(FakeGateway gateway) : LatentCache.LatentCacheBase
    {
        public override Task<Protos.V1.CacheStatistics> GetStatistics(GetCacheStatisticsRequest request,
            ServerCallContext context) => Task.FromResult(gateway.Statistics);

        public override Task<ClearCacheResponse> Clear(ClearCacheRequest request, ServerCallContext context)
        {
            gateway.Cleared = true;
            return Task.FromResult(new ClearCacheResponse { MemoryEntries = 1234, RedisEntries = 5 });
        }
    }
}
