using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Gateway.Admission;
using Flamingo.Gateway.Attention;
using Flamingo.Gateway.Delivery;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Operations;
using Flamingo.Gateway.Prompts;
using Flamingo.Gateway.Stages;
using Flamingo.Gateway.SupportSets;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway;

/// <summary>
/// Handles the requests of the public service in three steps: admit the request, resolve its pictures to latents, call the
/// language model.
/// </summary>
public sealed class GenerationPipeline(
    RequestPermits permits, StageDescriptions descriptions, PromptResolver prompts, LatentCache latents, LatentDelivery language,
    GatewayOptions options, ISeedSource seeds, RequestTelemetry telemetry, TimeProvider time, ILogger<GenerationPipeline> logger)
        : IFlamingo
{
    private const int ConcurrentPrompts = 4;

    /// <summary>
    /// Streams an answer. The answer is computed while earlier events wait for the caller, up to the size of a buffer. A caller that
    /// reads slowly holds a permit only while its answer is computed.
    /// </summary>
    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(FlamingoRequest request,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var buffer = new AnswerBuffer(options.WriteStallTimeout, "Gateway:WriteStallTimeout", time);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation, buffer.Stalled);
        var writing = WriteAsync(request, buffer, ending.Token);
        try
        {
            await foreach (var item in buffer.ReadAllAsync(cancellation)) yield return item;
        }
        finally
        {
            await ending.CancelAsync();
            await writing;
        }
    }

    /// <summary>Computes an answer and writes it to a buffer. Never throws; the reader of the buffer gets the failure.</summary>
    private async Task WriteAsync(FlamingoRequest request, AnswerBuffer buffer, CancellationToken cancellation)
    {
        using var measurement = telemetry.Begin(RequestOperation.Generate, request.Tenant);
        measurement.Ask(request.Segments);
        try
        {
            var arrived = time.GetTimestamp();
            using var permit = await AdmitAsync(request.Tenant, cancellation);
            await foreach (var item in AnswerAsync(request, arrived, measurement, cancellation))
            {
                measurement.See(item);
                buffer.Write(item);
                if (!buffer.IsFull) continue;
                permit.Leave();
                await buffer.WaitForRoomAsync(cancellation);
                await permit.ReenterAsync(cancellation);
            }

            permit.Dispose(); // before the enumeration ends, so that the caller's next request finds the permit
            buffer.Complete();
        }
        catch (Exception exception)
        {
            measurement.Fail(exception);
            buffer.Complete(exception);
            if (buffer.Stalled.IsCancellationRequested) GatewayLog.AnswerUnread(logger, options.WriteStallTimeout);
        }
    }

    private async IAsyncEnumerable<AnswerEvent> AnswerAsync(
        FlamingoRequest request, long arrived, RequestMeasurement measurement, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var model = await descriptions.GetAsync(cancellation);
        measurement.Serve(model);
        var (tenant, faults) = (Tenant.Of(request.Tenant, options.TenantSalt), new FaultList());
        PromptRules.CheckSampling(request.Sampling, model.Language, faults);
        PromptRules.CheckAttention(request.Attention, request.Sampling, model.Language, faults);
        PromptRules.CheckPin(request.PinPrefix, model.Language, faults);
        var query = Read(request.Segments, request.SupportSet, model, faults);

        var prompt = await prompts.ResolveAsync(request.Segments, query, request.SupportSet, request.Attention is not null, tenant, model,
            cancellation);
        var times = prompt.Times;
        yield return new PicturesResolved(prompt.Reports, times.Lookup, times.Vision, times.Resample)
        {
            Cache = prompt.Cache, Shots = prompt.Selected,
        };

        var sampling = request.Sampling with { Seed = request.Sampling.Seed ?? (request.Sampling.Temperature > 0 ? seeds.Next() : 0) };
        var pipelineTime = time.GetElapsedTime(arrived);
        var continuation = new LanguageModelRequest(prompt.Segments,
            sampling) { Tenant = tenant.Digest, PinPrefix = request.PinPrefix, Attention = request.Attention };
        await using var answer = language.GenerateAsync(continuation, cancellation).GetAsyncEnumerator(cancellation);
        while (await DetectMisfitAsync(() => answer.MoveNextAsync().AsTask()))
        {
            yield return answer.Current switch
            {
                AnswerTokens { Attention.Count: 0 } tokens => tokens,
                AnswerTokens tokens => tokens with { Attention = [.. tokens.Attention.Select(attention => Map(attention, prompt, model))] },
                AnswerFinished end => end with
                {
                    Seed = sampling.Seed.Value,
                    Timings = new StageTimings(
                        times.Lookup, times.Vision, times.Resample, end.Timings.Prefill, pipelineTime + end.Timings.FirstToken,
                        time.GetElapsedTime(arrived)),
                    Digests = Digests(model, prompt.Latents, end.Digests.Language),
                },
                var item => throw new InvalidOperationException($"{item.GetType().Name} is not an event that a language model sends."),
            };
        }
    }

    public Task<FlamingoRanking> RankAsync(FlamingoRankRequest request, CancellationToken cancellation) =>
        telemetry.MeasureAsync(
            RequestOperation.Rank, request.Tenant, measurement => RankAsync(request, measurement, cancellation));

    public Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request, CancellationToken cancellation) =>
        telemetry.MeasureAsync(
            RequestOperation.Encode, request.Tenant, measurement => EncodeAsync(request, measurement, cancellation));

    public async Task<FlamingoModel> GetModelAsync(CancellationToken cancellation) => await descriptions.GetAsync(cancellation);

    private async Task<FlamingoRanking> RankAsync(
        FlamingoRankRequest request, RequestMeasurement measurement, CancellationToken cancellation)
    {
        var arrived = time.GetTimestamp();
        using var permit = await AdmitAsync(request.Tenant, cancellation);

        var model = await descriptions.GetAsync(cancellation);
        measurement.Serve(model);
        var (tenant, faults) = (Tenant.Of(request.Tenant, options.TenantSalt), new FaultList());
        PromptRules.CheckCandidates(request.Candidates, model.Language, faults);
        PromptRules.CheckPin(request.PinPrefix, model.Language, faults);
        SupportSetRules.Check(request.Ensemble, request.SupportSet, faults);
        var query = Read(request.Segments, request.SupportSet, model, faults);

        var prompt = await prompts.ResolveAsync(request.Segments, query, request.SupportSet, needsAttention: false, tenant, model,
            cancellation);
        var (times, pipelineTime) = (prompt.Times, time.GetElapsedTime(arrived));
        measurement.CountPictures(prompt.Reports);
        var ranking = await RankAsync(request, prompt, tenant, cancellation);
        measurement.CountTokens(ranking.PromptTokens, ranking.CachedTokens);
        return new FlamingoRanking(
            ranking.Candidates, prompt.Reports, ranking.PromptTokens,
            new StageTimings(
                times.Lookup, times.Vision, times.Resample, ranking.Prefill, pipelineTime + ranking.Prefill, time.GetElapsedTime(arrived)),
            Digests(model, prompt.Latents, ranking.WeightsDigest))
        {
            CachedTokens = ranking.CachedTokens, Cache = prompt.Cache, Shots = prompt.Selected,
        };
    }

    private async Task<FlamingoEncoding> EncodeAsync(
        FlamingoEncodeRequest request, RequestMeasurement measurement, CancellationToken cancellation)
    {
        var arrived = time.GetTimestamp();
        using var permit = await AdmitAsync(request.Tenant, cancellation);

        var model = await descriptions.GetAsync(cancellation);
        measurement.Serve(model);
        var (tenant, faults) = (Tenant.Of(request.Tenant, options.TenantSalt), new FaultList());
        if (request.Pictures.Count == 0) faults.Add(new("pictures", "No picture was sent.", "Send at least one."));
        if (request.IncludePooled && model.Vision.PooledWidth == 0)
            faults.Add(new("include_pooled", "This model has no pooled embedding.", "Leave include_pooled out."));
        CheckCount(request.Pictures.Count, "pictures", faults);
        PromptRules.ThrowIfAny(faults); // no file is read if the request is refused anyway
        List<RequestedPicture> pictures =
        [
            .. request.Pictures.Select((visual, index) =>
                PromptPictures.Read(visual, $"pictures[{index}]", model, faults) with { NeedsPooled = request.IncludePooled }),
        ];
        PromptRules.ThrowIfAny(faults);

        var encoded = await latents.GetOrEncodeAsync(pictures, tenant, cancellation);
        var (times, reports) = (PictureLatents.Times(encoded), encoded.Select(picture => picture.Report).ToList());
        measurement.CountPictures(reports);
        return new FlamingoEncoding(
            reports,
            request.IncludePooled ? [.. encoded.Select(picture => picture.Pooled!)] : [],
            new StageTimings(times.Lookup, times.Vision, times.Resample, TimeSpan.Zero, TimeSpan.Zero, time.GetElapsedTime(arrived)),
            Digests(model, encoded, model.Language.WeightsDigest)) { Cache = PictureLatents.Use(encoded) };
    }

    private async Task<RequestPermit> AdmitAsync(string tenant, CancellationToken cancellation)
    {
        using var span = RequestTelemetry.Steps.StartActivity("admit");
        return await permits.EnterAsync(tenant, cancellation);
    }

    // Ranks one prompt, or the prompts of an ensemble. Only a few prompts run at once, because other requests use the same engine.
    private async Task<Ranking> RankAsync(FlamingoRankRequest request, ResolvedPrompt prompt, Tenant tenant, CancellationToken cancellation)
    {
        Task<Ranking> AskAsync(IReadOnlyList<PromptSegment> segments) =>
            DetectMisfitAsync(() =>
                language.RankAsync(new RankRequest(segments, request.Candidates) { Tenant = tenant.Digest, PinPrefix = request.PinPrefix },
                    cancellation));

        if (request.Ensemble is not { } ensemble) return await AskAsync(prompt.Segments);
        var rankings = new List<Ranking>();
        foreach (var chunk in ShotSelector.Permutations(prompt.Shots.Count, ensemble).Chunk(ConcurrentPrompts))
            rankings.AddRange(await Task.WhenAll(chunk.Select(order => AskAsync(prompt.Ordered(order)))));
        return RankingEnsemble.Mean(rankings);
    }

    private List<RequestedPicture> Read(IReadOnlyList<FlamingoSegment> segments, SupportSetChoice? choice, FlamingoModel model,
        FaultList faults)
    {
        var pictures = PromptPictures.Read(segments, model, faults);
        CheckCount(pictures.Count, "segments", faults);
        SupportSetRules.Check(choice, pictures, model, faults);
        PromptRules.ThrowIfAny(faults);
        return pictures;
    }

    private void CheckCount(int pictures, string field, FaultList faults)
    {
        if (pictures > options.MaxPicturesPerRequest)
            faults.Add(new(field, $"{pictures} pictures are more than {options.MaxPicturesPerRequest}.", "Send fewer examples."));
    }

    private static TokenAttention? Map(TokenAttention? attention, ResolvedPrompt prompt, FlamingoModel model)
    {
        if (attention is null) return null;
        var latentAttention = attention.Picture >= 0 && attention.Picture < prompt.Latents.Count
            ? prompt.Latents[attention.Picture].Attention : null;
        if (latentAttention is null)
            throw new FlamingoException(
                FlamingoErrorKind.Internal, $"A generated token attended to picture {attention.Picture} of {prompt.Latents.Count}, which "
                    + "is not the "
                    + "last.");
        return AttentionProjection.Map(attention, latentAttention, model.Vision.Patches);
    }

    // The gateway made the latents, not the caller. If the language model refuses them, the language model was replaced by one
    // that does not fit.
    private async Task<T> DetectMisfitAsync<T>(Func<Task<T>> call)
    {
        try
        {
            return await call();
        }
        catch (FlamingoException exception)
            when (exception.Kind == FlamingoErrorKind.InvalidArgument
                && exception.Faults.Any(fault => fault.Field.EndsWith(".latents", StringComparison.Ordinal)))
        {
            throw await descriptions.MisfitAsync(exception);
        }
    }

    // Returns the digests of the weights that computed an answer. They differ from the descriptions if a replica has been
    // replaced. If the language model was replaced, the next request reads the descriptions again.
    private ModelDigests Digests(FlamingoModel model, IReadOnlyList<PictureLatents> pictures, string language)
    {
        if (language != model.Language.WeightsDigest) descriptions.Forget();
        var described = (Vision: model.Vision.WeightsDigest, Resampler: model.Resampler.WeightsDigest);
        var (vision, resampler) = pictures.Select(picture => picture.Weights).Where(made => made != described).FirstOrDefault(described);
        return new(vision, resampler, language);
    }
}
