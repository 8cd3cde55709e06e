using System.Collections.Concurrent;
using System.Net;
using System.Runtime.CompilerServices;
using System.Security.Cryptography.X509Certificates;
using Flamingo.Abstractions;
using Flamingo.Transport.Serving;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Flamingo.Client.Tests;

/// <summary>A gateway on a real port that holds pictures per tenant like the real gateway, and whose answers a test scripts.</summary>
internal sealed class ScriptedGateway : IFlamingo, ITasks, ISupportSets, ILatentCacheOperations, IAsyncDisposable
{
    private static readonly StageTimings Timings = new(default, default, default, default, default, default);
    private static readonly ModelDigests Digests = new("v", "r", "l");
    private readonly ConcurrentDictionary<(string Tenant, string Id), bool> _held = new();
    private WebApplication? _server;

    public string Address => _server!.Urls.Single();

    /// <summary>Every request, in order of arrival.</summary>
    public ConcurrentQueue<object> Asked { get; } = [];

    /// <summary>The authority of every call.</summary>
    public ConcurrentQueue<string> Hosts { get; } = [];

    /// <summary>The authorization of every call that had one.</summary>
    public ConcurrentQueue<string> Authorizations { get; } = [];

    /// <summary>Thrown instead of an answer.</summary>
    public Exception? Refusal { get; set; }

    /// <summary>Thrown in the middle of an answer, after the resolved pictures and one token.</summary>
    public Exception? Breaks { get; set; }

    /// <summary>Runs before every check of held pictures, so that a test can evict pictures just before the check.</summary>
    public Action? Looking { get; set; }

    /// <param name="certificate">If given, the port uses TLS.</param>
    public static async Task<ScriptedGateway> StartAsync(X509Certificate2? certificate = null)
    {
        var gateway = new ScriptedGateway();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            listen.Protocols = HttpProtocols.Http2;
            if (certificate is not null) listen.UseHttps(certificate);
        }));
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.Zero);
        builder.Services.AddStageServing().AddSingleton<IFlamingo>(gateway).AddSingleton<ITasks>(gateway)
            .AddSingleton<ISupportSets>(gateway).AddSingleton<ILatentCacheOperations>(gateway);
        gateway._server = builder.Build();
        gateway._server.Use((context, next) =>
        {
            gateway.Hosts.Enqueue(context.Request.Host.Value!);
            if (context.Request.Headers.Authorization is [{ } authorization]) gateway.Authorizations.Enqueue(authorization);
            return next(context);
        });
        gateway._server.MapFlamingo();
        await gateway._server.StartAsync();
        return gateway;
    }

    /// <summary>Closes every connection abruptly, as a killed process would.</summary>
    public Task StopAsync() => _server!.StopAsync(new CancellationToken(canceled: true));

    public ValueTask DisposeAsync() => _server!.DisposeAsync();

    public void Evict(params IEnumerable<string> ids)
    {
        foreach (var id in ids) _held.TryRemove(("", id), out _);
    }

    public IAsyncEnumerable<AnswerEvent> GenerateAsync(FlamingoRequest request, CancellationToken cancellation) =>
        StreamAsync(request, request.Tenant, request.Segments.OfType<FlamingoVisual>(), request.SupportSet, cancellation);

    public IAsyncEnumerable<AnswerEvent> ChatAsync(ChatTask task, CancellationToken cancellation) =>
        StreamAsync(task, task.Tenant, task.Turns.SelectMany(turn => turn.Visuals), null, cancellation);

    private async IAsyncEnumerable<AnswerEvent> StreamAsync(
        object request, string tenant, IEnumerable<FlamingoVisual> visuals, SupportSetChoice? choice,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        var pictures = Resolve(request, tenant, visuals);
        await Task.Yield();
        yield return new PicturesResolved(pictures, default, default, default)
        {
            Cache = new(1, 0, 0, 0, TimeSpan.FromMilliseconds(5)), Shots = choice is { } set ? new(set.Name, 1, [0]) : null,
        };
        yield return new AnswerTokens("a", [1]) { LogProbabilities = [new(1, -0.5f, [])] };
        if (Breaks is not null) throw Breaks;
        yield return new AnswerTokens("a cat",
            [1, 3]) { Sample = 1, Attention = [new(0, TensorData.FromFloats([1], 1)) { Map = TensorData.FromFloats([1, 0, 0, 0], 2, 2) }] };
        yield return new AnswerTokens(" dog", [2]);
        yield return new AnswerFinished(FinishReason.Stop, 7, 4, 0, Timings, Digests) { CachedTokens = 5 };
    }

    public Task<FlamingoRanking> RankAsync(FlamingoRankRequest request, CancellationToken cancellation)
    {
        var pictures = Resolve(request, request.Tenant, request.Segments.OfType<FlamingoVisual>());
        return Task.FromResult(new FlamingoRanking([.. request.Candidates.Select(text => new RankedCandidate(text, [1], [-1]))], pictures,
            1, Timings, Digests));
    }

    public Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request, CancellationToken cancellation) =>
        Task.FromResult(new FlamingoEncoding(Resolve(request, request.Tenant, request.Pictures), [], Timings, Digests));

    public Task<TaskAnswer> CaptionAsync(CaptionTask task, CancellationToken cancellation) => throw new NotSupportedException();

    public Task<TaskAnswer> AnswerAsync(AnswerTask task, CancellationToken cancellation) => throw new NotSupportedException();

    public Task<Classification> ClassifyAsync(ClassifyTask task, CancellationToken cancellation) => throw new NotSupportedException();

    public Task<FlamingoModel> GetModelAsync(CancellationToken cancellation) => throw new NotSupportedException();

    public Task<SupportSet> PutAsync(PutSupportSet request,
        CancellationToken cancellation) =>
            Answer(request, new SupportSet(request.Name, 2, DateTimeOffset.UnixEpoch, null, request.Examples.Count, []));

    public Task<SupportSet> GetAsync(string tenant, string name,
        CancellationToken cancellation) =>
            Answer<SupportSet>((tenant, name), new SupportSet(name, 2, DateTimeOffset.UnixEpoch, null, 1, [new("id", "text")]));

    public Task<IReadOnlyList<SupportSet>> ListAsync(string tenant,
        CancellationToken cancellation) =>
            Answer<IReadOnlyList<SupportSet>>((tenant, ""), [new SupportSet("words", 2, DateTimeOffset.UnixEpoch, null, 1, [])]);

    public Task DeleteAsync(string tenant, string name, CancellationToken cancellation) => Answer((tenant, name), true);

    public Task<CacheStatistics> GetStatisticsAsync(CancellationToken cancellation) => throw new NotSupportedException();

    public Task<ClearedCache> ClearAsync(CancellationToken cancellation) => throw new NotSupportedException();

    private Task<T> Answer<T>(object request, T answer)
    {
        Asked.Enqueue(request);
        return Refusal is null ? Task.FromResult(answer) : throw Refusal;
    }

    private List<PictureReport> Resolve(object request, string tenant, IEnumerable<FlamingoVisual> pictures)
    {
        Asked.Enqueue(request);
        if (Refusal is not null) throw Refusal;
        Looking?.Invoke();
        var reports = new List<PictureReport>();
        foreach (var picture in pictures)
        {
            var id = picture switch
            {
                FlamingoPicture still => PictureId.Of(still.Bytes.Span),
                FlamingoVideo video => PictureId.Of(video.Input),
                _ => ((FlamingoPictureId)picture).Id,
            };
            if (picture is not FlamingoPictureId) _held[(tenant, id)] = true;
            reports.Add(new PictureReport(id, PictureSource.Memory));
        }

        var missing = reports.Select(report => report.Id).Where(id => !_held.ContainsKey((tenant, id))).Distinct().ToList();
        return missing.Count == 0 ? reports
            : throw new FlamingoException(FlamingoErrorKind.NotFound, "The pictures are not held.") { Missing = missing };
    }
}
