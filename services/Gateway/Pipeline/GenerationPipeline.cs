using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Gateway.Admission;
using Flamingo.Gateway.Attention;
using Flamingo.Gateway.Delivery;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Prompts;
using Flamingo.Gateway.Stages;
using Flamingo.Gateway.SupportSets;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway;

/// <summary>The way of a request, and the only file that knows its order: 1 admit, 2 resolve pictures, 3 ask the language model.</summary>
public sealed class GenerationPipeline(
    RequestPermits permits, StageDescriptions descriptions, PromptResolver prompts, LatentCache latents, LatentDelivery language,
    GatewayOptions options, ISeedSource seeds, TimeProvider time) : IFlamingo
{
    private const int PromptsAtOnce = 4;

    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(FlamingoRequest request,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        var arrived = time.GetTimestamp();
        using var permit = await permits.EnterAsync(cancellation);

        var model = await descriptions.GetAsync(cancellation);
        var (tenant, faults) = (Tenant.Of(request.Tenant, options.TenantSalt), new List<FieldFault>());
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
        var asked = time.GetElapsedTime(arrived);
        var continuation = new LanguageModelRequest(prompt.Segments,
            sampling) { Tenant = tenant.Digest, PinPrefix = request.PinPrefix, Attention = request.Attention };
        await using var answer = language.GenerateAsync(continuation, cancellation).GetAsyncEnumerator(cancellation);
        while (await FittingAsync(() => answer.MoveNextAsync().AsTask()))
        {
            yield return answer.Current switch
            {
                AnswerTokens { Attention.Count: 0 } tokens => tokens,
                AnswerTokens tokens => tokens with { Attention = [.. tokens.Attention.Select(seen => Map(seen, prompt, model))] },
                AnswerFinished end => end with
                {
                    Seed = sampling.Seed.Value,
                    Timings = new StageTimings(
                        times.Lookup, times.Vision, times.Resample, end.Timings.Prefill, asked + end.Timings.FirstToken,
                        time.GetElapsedTime(arrived)),
                    Digests = Digests(model, prompt.Latents, end.Digests.Language),
                },
                var item => throw new InvalidOperationException($"{item.GetType().Name} is no event of a language model."),
            };
        }
    }

    public async Task<FlamingoRanking> RankAsync(FlamingoRankRequest request, CancellationToken cancellation)
    {
        var arrived = time.GetTimestamp();
        using var permit = await permits.EnterAsync(cancellation);

        var model = await descriptions.GetAsync(cancellation);
        var (tenant, faults) = (Tenant.Of(request.Tenant, options.TenantSalt), new List<FieldFault>());
        PromptRules.CheckCandidates(request.Candidates, model.Language, faults);
        PromptRules.CheckPin(request.PinPrefix, model.Language, faults);
        SupportSetRules.Check(request.Ensemble, request.SupportSet, faults);
        var query = Read(request.Segments, request.SupportSet, model, faults);

        var prompt = await prompts.ResolveAsync(request.Segments, query, request.SupportSet, needsAttention: false, tenant, model,
            cancellation);
        var (times, asked) = (prompt.Times, time.GetElapsedTime(arrived));
        var ranking = await RankAsync(request, prompt, tenant, cancellation);
        return new FlamingoRanking(
            ranking.Candidates, prompt.Reports, ranking.PromptTokens,
            new StageTimings(
                times.Lookup, times.Vision, times.Resample, ranking.Prefill, asked + ranking.Prefill, time.GetElapsedTime(arrived)),
            Digests(model, prompt.Latents, ranking.WeightsDigest))
        {
            CachedTokens = ranking.CachedTokens, Cache = prompt.Cache, Shots = prompt.Selected,
        };
    }

    public async Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request, CancellationToken cancellation)
    {
        var arrived = time.GetTimestamp();
        using var permit = await permits.EnterAsync(cancellation);

        var model = await descriptions.GetAsync(cancellation);
        var (tenant, faults) = (Tenant.Of(request.Tenant, options.TenantSalt), new List<FieldFault>());
        if (request.Pictures.Count == 0) faults.Add(new("pictures", "No picture was sent.", "Send at least one."));
        if (request.IncludePooled && model.Vision.PooledWidth == 0)
            faults.Add(new("include_pooled", "This model has no pooled embedding.", "Ask without include_pooled."));
        CheckCount(request.Pictures.Count, "pictures", faults);
        List<RequestedPicture> pictures =
        [
            .. request.Pictures.Select((visual, index) =>
                PromptPictures.Read(visual, $"pictures[{index}]", model, faults) with { NeedsPooled = request.IncludePooled }),
        ];
        PromptRules.ThrowIfAny(faults);

        var encoded = await latents.GetOrEncodeAsync(pictures, tenant, cancellation);
        var times = PictureLatents.Times(encoded);
        return new FlamingoEncoding(
            [.. encoded.Select(picture => new PictureReport(picture.Id, picture.Source))],
            request.IncludePooled ? [.. encoded.Select(picture => picture.Pooled!)] : [],
            new StageTimings(times.Lookup, times.Vision, times.Resample, TimeSpan.Zero, TimeSpan.Zero, time.GetElapsedTime(arrived)),
            Digests(model, encoded, model.Language.WeightsDigest)) { Cache = PictureLatents.Use(encoded) };
    }

    public async Task<FlamingoModel> GetModelAsync(CancellationToken cancellation) => await descriptions.GetAsync(cancellation);

    // one prompt, or an ensemble's, a few at a time: they share the engine with everybody
    private async Task<Ranking> RankAsync(FlamingoRankRequest request, ResolvedPrompt prompt, Tenant tenant, CancellationToken cancellation)
    {
        Task<Ranking> AskAsync(IReadOnlyList<PromptSegment> segments) =>
            FittingAsync(() =>
                language.RankAsync(new RankRequest(segments, request.Candidates) { Tenant = tenant.Digest, PinPrefix = request.PinPrefix },
                    cancellation));

        if (request.Ensemble is not { } ensemble) return await AskAsync(prompt.Segments);
        var rankings = new List<Ranking>();
        foreach (var some in ShotSelector.Permutations(prompt.Shots.Count, ensemble).Chunk(PromptsAtOnce))
            rankings.AddRange(await Task.WhenAll(some.Select(order => AskAsync(prompt.Ordered(order)))));
        return RankingEnsemble.Mean(rankings);
    }

    private List<RequestedPicture> Read(IReadOnlyList<FlamingoSegment> segments, SupportSetChoice? choice, FlamingoModel model,
        List<FieldFault> faults)
    {
        var pictures = PromptPictures.Read(segments, model, faults);
        CheckCount(pictures.Count, "segments", faults);
        SupportSetRules.Check(choice, pictures, model, faults);
        PromptRules.ThrowIfAny(faults);
        return pictures;
    }

    private void CheckCount(int pictures, string field, List<FieldFault> faults)
    {
        if (pictures > options.MaxPicturesPerRequest)
            faults.Add(new(field, $"{pictures} pictures are more than {options.MaxPicturesPerRequest}.", "Send fewer examples."));
    }

    private static TokenAttention? Map(TokenAttention? seen, ResolvedPrompt prompt, FlamingoModel model)
    {
        if (seen is null) return null;
        var read = seen.Picture >= 0 && seen.Picture < prompt.Latents.Count ? prompt.Latents[seen.Picture].Attention : null;
        if (read is null)
            throw new FlamingoException(
                FlamingoErrorKind.Internal, $"A generated token saw picture {seen.Picture} of {prompt.Latents.Count}, which is not the "
                    + "last.");
        return AttentionProjection.Map(seen, read, model.Vision.Patches);
    }

    // latents are the gateway's own, never the caller's: a language model that refuses them was put in another's place
    private async Task<T> FittingAsync<T>(Func<Task<T>> call)
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

    // The weights that made an answer: as described, or where one of several replicas has been replaced, those of the new one. Where the
    // language model was replaced, the next request asks it for its description.
    private ModelDigests Digests(FlamingoModel model, IReadOnlyList<PictureLatents> pictures, string language)
    {
        if (language != model.Language.WeightsDigest) descriptions.Forget();
        var described = (Vision: model.Vision.WeightsDigest, Resampler: model.Resampler.WeightsDigest);
        var (vision, resampler) = pictures.Select(picture => picture.Weights).Where(made => made != described).FirstOrDefault(described);
        return new(vision, resampler, language);
    }
}
