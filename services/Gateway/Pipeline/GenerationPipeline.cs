using System.Runtime.CompilerServices;
using Flamingo.Gateway.Admission;
using Flamingo.Gateway.Attention;
using Flamingo.Gateway.Delivery;
using Flamingo.Gateway.Pictures;
using Flamingo.Gateway.Prompts;
using Flamingo.Gateway.Stages;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway;

/// <summary>The way of a request, and the only file that knows its order: 1 admit, 2 resolve pictures, 3 ask the language model.</summary>
public sealed class GenerationPipeline(
    RequestPermits permits, StageDescriptions descriptions, LatentResolver resolver, LatentDelivery language,
    GatewayOptions options, ISeedSource seeds, TimeProvider time) : IFlamingo
{
    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(FlamingoRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var arrived = time.GetTimestamp();
        using var permit = await permits.EnterAsync(cancellation);

        var model = await descriptions.GetAsync(cancellation);
        var (tenant, faults) = (Tenant.Of(request.Tenant, options.TenantSalt), new List<FieldFault>());
        PromptRules.CheckSampling(request.Sampling, model.Language, faults);
        PromptRules.CheckAttention(request.Attention, request.Sampling, model.Language, faults);
        PromptRules.CheckPin(request.PinPrefix, model.Language, faults);
        var pictures = Read(request.Segments, model, faults);
        if (request.Attention is not null && pictures.Count > 0) pictures[^1] = pictures[^1] with { Extras = PictureExtras.Attention }; // whatever is generated sees the last picture

        var resolution = await resolver.ResolveAsync(RequestedPicture.Distinct(pictures), tenant, cancellation);
        yield return new PicturesResolved(Report(pictures, resolution), resolution.Lookup, resolution.Vision, resolution.Resample) { Cache = resolution.Cache };

        var sampling = request.Sampling with { Seed = request.Sampling.Seed ?? (request.Sampling.Temperature > 0 ? seeds.Next() : 0) };
        var asked = time.GetElapsedTime(arrived);
        var prompt = new LanguageModelRequest(Segments(request.Segments, pictures, resolution), sampling) { Tenant = tenant.Digest, PinPrefix = request.PinPrefix, Attention = request.Attention };
        await using var answer = language.GenerateAsync(prompt, cancellation).GetAsyncEnumerator(cancellation);
        while (await FittingAsync(() => answer.MoveNextAsync().AsTask()))
        {
            yield return answer.Current switch
            {
                TokensGenerated tokens => new AnswerTokens(tokens.Text, tokens.Ids)
                {
                    Sample = tokens.Sample, LogProbabilities = tokens.LogProbabilities, Attention = [.. tokens.Attention.Select(seen => Map(seen, pictures, resolution, model))],
                },
                GenerationFinished end => new AnswerFinished(
                    end.Reason, end.PromptTokens, end.GeneratedTokens, sampling.Seed.Value,
                    new StageTimings(resolution.Lookup, resolution.Vision, resolution.Resample, end.Prefill, asked + end.FirstToken, time.GetElapsedTime(arrived)),
                    Digests(model, resolution, end.WeightsDigest)) { CachedTokens = end.CachedTokens, Samples = end.Samples },
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
        var pictures = Read(request.Segments, model, faults);

        var resolution = await resolver.ResolveAsync(RequestedPicture.Distinct(pictures), tenant, cancellation);
        var asked = time.GetElapsedTime(arrived);
        var prompt = new RankRequest(Segments(request.Segments, pictures, resolution), request.Candidates) { Tenant = tenant.Digest, PinPrefix = request.PinPrefix };
        var ranking = await FittingAsync(() => language.RankAsync(prompt, cancellation));
        return new FlamingoRanking(
            ranking.Candidates, Report(pictures, resolution), ranking.PromptTokens,
            new StageTimings(resolution.Lookup, resolution.Vision, resolution.Resample, ranking.Prefill, asked + ranking.Prefill, time.GetElapsedTime(arrived)),
            Digests(model, resolution, ranking.WeightsDigest)) { CachedTokens = ranking.CachedTokens, Cache = resolution.Cache };
    }

    public async Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request, CancellationToken cancellation)
    {
        var arrived = time.GetTimestamp();
        using var permit = await permits.EnterAsync(cancellation);

        var model = await descriptions.GetAsync(cancellation);
        var (tenant, faults) = (Tenant.Of(request.Tenant, options.TenantSalt), new List<FieldFault>());
        if (request.Pictures.Count == 0) faults.Add(new("pictures", "No picture was sent.", "Send at least one."));
        if (request.IncludePooled && model.Vision.PooledWidth == 0) faults.Add(new("include_pooled", "This model has no pooled embedding.", "Ask without include_pooled."));
        CheckCount(request.Pictures.Count, "pictures", faults);
        var extras = request.IncludePooled ? PictureExtras.Pooled : PictureExtras.None;
        var pictures = request.Pictures.Select((visual, index) => PromptPictures.Read(visual, $"pictures[{index}]", model, faults) with { Extras = extras }).ToList();
        PromptRules.ThrowIfAny(faults);

        var resolution = await resolver.ResolveAsync(RequestedPicture.Distinct(pictures), tenant, cancellation);
        return new FlamingoEncoding(
            Report(pictures, resolution), request.IncludePooled ? [.. pictures.Select(picture => resolution.Pictures[picture.Id].Pooled!)] : [],
            new StageTimings(resolution.Lookup, resolution.Vision, resolution.Resample, TimeSpan.Zero, TimeSpan.Zero, time.GetElapsedTime(arrived)),
            Digests(model, resolution, model.Language.WeightsDigest)) { Cache = resolution.Cache };
    }

    public async Task<FlamingoModel> GetModelAsync(CancellationToken cancellation) => await descriptions.GetAsync(cancellation);

    private List<RequestedPicture> Read(IReadOnlyList<FlamingoSegment> segments, FlamingoModel model, List<FieldFault> faults)
    {
        var pictures = PromptPictures.Read(segments, model, faults);
        CheckCount(pictures.Count, "segments", faults);
        PromptRules.ThrowIfAny(faults);
        return pictures;
    }

    private void CheckCount(int pictures, string field, List<FieldFault> faults)
    {
        if (pictures > options.MaxPicturesPerRequest) faults.Add(new(field, $"{pictures} pictures are more than {options.MaxPicturesPerRequest}.", "Send fewer examples."));
    }

    private static AttentionMap? Map(TokenAttention? seen, List<RequestedPicture> pictures, Resolution resolution, FlamingoModel model)
    {
        if (seen is null) return null;
        var read = seen.Picture >= 0 && seen.Picture < pictures.Count ? resolution.Pictures[pictures[seen.Picture].Id].Attention : null;
        return AttentionProjection.Map(seen, read ?? throw new StageException(StageErrorKind.Internal, $"A generated token saw picture {seen.Picture} of {pictures.Count}, which is not the last."), model.Vision.Patches);
    }

    private static List<PictureReport> Report(IReadOnlyList<RequestedPicture> pictures, Resolution resolution) =>
        [.. pictures.Select(picture => new PictureReport(picture.Id, resolution.Pictures[picture.Id].Source))];

    private static List<PromptSegment> Segments(IReadOnlyList<FlamingoSegment> segments, IReadOnlyList<RequestedPicture> pictures, Resolution resolution)
    {
        var (next, prompt) = (0, new List<PromptSegment>(segments.Count));
        foreach (var segment in segments)
        {
            if (segment is FlamingoText text)
            {
                prompt.Add(new TextSegment(text.Text));
                continue;
            }

            var picture = resolution.Pictures[pictures[next++].Id];
            prompt.Add(new PictureSegment(picture.Key, picture.Latents));
        }

        return prompt;
    }

    // latents are the gateway's own, never the caller's: a language model that refuses them was put in another's place
    private async Task<T> FittingAsync<T>(Func<Task<T>> call)
    {
        try
        {
            return await call();
        }
        catch (StageException exception) when (exception.Kind == StageErrorKind.InvalidArgument && exception.Faults.Any(fault => fault.Field.EndsWith(".latents", StringComparison.Ordinal)))
        {
            throw await descriptions.MisfitAsync(exception);
        }
    }

    // another language model answered than described: the next request asks what it is
    private ModelDigests Digests(FlamingoModel model, Resolution resolution, string language)
    {
        if (language != model.Language.WeightsDigest) descriptions.Forget();
        var made = resolution.Origin(model);
        return new(made.Vision, made.Resampler, language);
    }
}
