using System.Globalization;
using System.Net;
using Flamingo.Abstractions;
using Flamingo.Transport.Wire;
using Flamingo.Wire;
using Grpc.Core;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Serving;

internal sealed class FlamingoService(IFlamingo flamingo) : V1.Flamingo.FlamingoBase
{
    public override Task Generate(V1.GenerateRequest request, IServerStreamWriter<V1.GenerateResponse> stream, ServerCallContext context) =>
        WriteAsync(flamingo.GenerateAsync(request.ToRecord(TenantHeader.Of(context)), context.CancellationToken), stream, context);

    public override async Task<V1.RankResponse> Rank(V1.RankRequest request, ServerCallContext context)
    {
        var ranking = await flamingo.RankAsync(request.ToRecord(TenantHeader.Of(context)), context.CancellationToken);
        AddCacheTrailers(context, ranking.Cache);
        return ranking.ToMessage();
    }

    public override async Task<V1.EncodeResponse> Encode(V1.EncodeRequest request, ServerCallContext context)
    {
        var encoding = await flamingo.EncodeAsync(request.ToRecord(TenantHeader.Of(context)), context.CancellationToken);
        AddCacheTrailers(context, encoding.Cache);
        return encoding.ToMessage();
    }

    public override async Task<V1.Model> GetModel(V1.GetModelRequest request, ServerCallContext context) =>
        (await flamingo.GetModelAsync(context.CancellationToken)).ToMessage();

    internal static async Task WriteAsync(
        IAsyncEnumerable<AnswerEvent> answer, IServerStreamWriter<V1.GenerateResponse> stream, ServerCallContext context)
    {
        await foreach (var item in answer)
        {
            if (item is PicturesResolved pictures) AddCacheTrailers(context, pictures.Cache);
            await stream.WriteAsync(item.ToMessage(), context.CancellationToken);
        }
    }

    // The counts are sent as trailers too, so that proxies and access logs see them without decoding messages.
    internal static void AddCacheTrailers(ServerCallContext context, CacheUse use)
    {
        foreach (var (name, value) in new (string, double)[]
        {
            ("memory-hits", use.MemoryHits), ("redis-hits", use.RedisHits), ("encoded", use.Encoded), ("waits", use.Waits),
            ("saved-ms", Math.Round(use.Saved.TotalMilliseconds, 1)),
        })
            context.ResponseTrailers.Add("flamingo-" + name, value.ToString(CultureInfo.InvariantCulture));
    }
}

internal sealed class TasksService(ITasks tasks) : V1.Tasks.TasksBase
{
    public override async Task<V1.TaskAnswer> Caption(V1.CaptionRequest request, ServerCallContext context) =>
        Message(await tasks.CaptionAsync(request.ToRecord(TenantHeader.Of(context)), context.CancellationToken), context);

    public override async Task<V1.TaskAnswer> Answer(V1.AnswerRequest request, ServerCallContext context) =>
        Message(await tasks.AnswerAsync(request.ToRecord(TenantHeader.Of(context)), context.CancellationToken), context);

    public override async Task<V1.Classification> Classify(V1.ClassifyRequest request, ServerCallContext context)
    {
        var classification = await tasks.ClassifyAsync(request.ToRecord(TenantHeader.Of(context)), context.CancellationToken);
        FlamingoService.AddCacheTrailers(context, classification.Ranking.Cache);
        return classification.ToMessage();
    }

    public override Task Chat(V1.ChatRequest request, IServerStreamWriter<V1.GenerateResponse> stream, ServerCallContext context) =>
        FlamingoService.WriteAsync(tasks.ChatAsync(request.ToRecord(TenantHeader.Of(context)), context.CancellationToken), stream, context);

    private static V1.TaskAnswer Message(TaskAnswer answer, ServerCallContext context)
    {
        FlamingoService.AddCacheTrailers(context, answer.Pictures.Cache);
        return answer.ToMessage();
    }
}

internal sealed class SupportSetsService(ISupportSets sets) : V1.SupportSets.SupportSetsBase
{
    public override async Task<V1.SupportSet> Put(V1.PutSupportSetRequest request, ServerCallContext context) =>
        (await sets.PutAsync(request.ToRecord(TenantHeader.Of(context)), context.CancellationToken)).ToMessage();

    public override async Task<V1.SupportSet> Get(V1.GetSupportSetRequest request, ServerCallContext context) =>
        (await sets.GetAsync(TenantHeader.Of(context), request.Name, context.CancellationToken)).ToMessage();

    public override async Task<V1.ListSupportSetsResponse> List(V1.ListSupportSetsRequest request, ServerCallContext context)
    {
        var response = new V1.ListSupportSetsResponse();
        response.Sets.AddRange(
            (await sets.ListAsync(TenantHeader.Of(context), context.CancellationToken)).Select(SupportSetWire.ToMessage));
        return response;
    }

    public override async Task<V1.DeleteSupportSetResponse> Delete(V1.DeleteSupportSetRequest request, ServerCallContext context)
    {
        await sets.DeleteAsync(TenantHeader.Of(context), request.Name, context.CancellationToken);
        return new V1.DeleteSupportSetResponse();
    }
}

internal sealed class LatentCacheService(ILatentCacheOperations cache, OperatorCalls? operators = null) : V1.LatentCache.LatentCacheBase
{
    public override async Task<V1.CacheStatistics> GetStatistics(V1.GetCacheStatisticsRequest request, ServerCallContext context) =>
        (await cache.GetStatisticsAsync(context.CancellationToken)).ToMessage();

    public override async Task<V1.ClearCacheResponse> Clear(V1.ClearCacheRequest request, ServerCallContext context)
    {
        CheckOperator(context);
        return (await cache.ClearAsync(context.CancellationToken)).ToMessage();
    }

    // For calls that change state which all tenants share.
    private void CheckOperator(ServerCallContext context)
    {
        var allowed = operators?.Allowed ?? OperatorCalls.Loopback;
        if (context.GetHttpContext().User is { Identity: { IsAuthenticated: true } known } user && allowed != OperatorCalls.None)
        {
            if (user.IsInRole(OperatorCalls.Role)) return;
            throw new FlamingoException(
                FlamingoErrorKind.PermissionDenied,
                $"This call is for operators, and '{known.Name}' has not their role. Use a key with the role operator "
                + "('flamingo key new --role operator').");
        }

        if (allowed == OperatorCalls.All) return;
        var caller = context.GetHttpContext().Connection.RemoteIpAddress;
        if (caller is { IsIPv4MappedToIPv6: true }) caller = caller.MapToIPv4();
        if (allowed == OperatorCalls.Loopback && caller is not null && IPAddress.IsLoopback(caller)) return;
        throw new FlamingoException(
            FlamingoErrorKind.PermissionDenied,
            $"Gateway:OperatorCalls is {allowed}, and this call comes from {caller}. "
            + "Call from the gateway's own machine or container, or let its operator set Gateway:OperatorCalls.");
    }
}
