using System.Runtime.CompilerServices;
using Flamingo.Abstractions;

namespace Flamingo.Gateway.Security.Limits;

/// <summary>
/// Counts the pictures and tokens of every call, whichever door it came through: tasks and all doors end here. A ranking and an answer that
/// has ended are charged the tokens that they report. An answer that the caller gives up, or that fails, is charged what it has generated
/// and an estimate of its prompt, so that giving up does not make prompts free.
/// </summary>
internal sealed class LimitedFlamingo(IFlamingo flamingo, TenantLimits limits) : IFlamingo
{
    private const int CharactersPerToken = 4;

    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(
        FlamingoRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var account = limits.Begin(request.Tenant, Pictures(request.Segments), usesTokens: true);
        var (generated, hasBegun, end) = (0L, false, (AnswerFinished?)null);
        try
        {
            await foreach (var item in flamingo.GenerateAsync(request, cancellation))
            {
                hasBegun = true;
                if (item is AnswerTokens tokens) generated += tokens.Ids.Count;
                end ??= item as AnswerFinished;
                yield return item;
            }
        }
        finally
        {
            if (end is not null) account.Charge(end.PromptTokens + (long)end.GeneratedTokens);
            else if (hasBegun) account.Charge(Estimate(request.Segments) + generated);
        }
    }

    public async Task<FlamingoRanking> RankAsync(FlamingoRankRequest request, CancellationToken cancellation)
    {
        using var account = limits.Begin(request.Tenant, Pictures(request.Segments), usesTokens: true);
        var ranking = await flamingo.RankAsync(request, cancellation);
        var once = ranking.PromptTokens + ranking.Candidates.Sum(candidate => (long)candidate.Ids.Count);
        account.Charge(once * (request.Ensemble?.Permutations ?? 1));
        return ranking;
    }

    public async Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request, CancellationToken cancellation)
    {
        using var account = limits.Begin(request.Tenant, Pictures(request.Pictures), usesTokens: false);
        return await flamingo.EncodeAsync(request, cancellation);
    }

    public Task<FlamingoModel> GetModelAsync(CancellationToken cancellation) => flamingo.GetModelAsync(cancellation);

    internal static int Pictures(IEnumerable<FlamingoSegment> segments) => segments.Sum(segment => segment switch
    {
        FlamingoVideo clip => Math.Max(1, clip.Input.Files.Count),
        FlamingoVisual => 1,
        _ => 0,
    });

    private static long Estimate(IReadOnlyList<FlamingoSegment> segments) => Pictures(segments)
        + (segments.OfType<FlamingoText>().Sum(text => (long)text.Text.Length) + CharactersPerToken - 1) / CharactersPerToken;
}

/// <summary>Counts the pictures of new support sets, which are encoded when a set is put.</summary>
internal sealed class LimitedSupportSets(ISupportSets sets, TenantLimits limits) : ISupportSets
{
    public async Task<SupportSet> PutAsync(PutSupportSet request, CancellationToken cancellation)
    {
        using var account = limits.Begin(
            request.Tenant, LimitedFlamingo.Pictures(request.Examples.Select(example => example.Visual)), usesTokens: false);
        return await sets.PutAsync(request, cancellation);
    }

    public Task<SupportSet> GetAsync(string tenant, string name, CancellationToken cancellation) =>
        sets.GetAsync(tenant, name, cancellation);

    public Task<IReadOnlyList<SupportSet>> ListAsync(string tenant, CancellationToken cancellation) => sets.ListAsync(tenant, cancellation);

    public Task DeleteAsync(string tenant, string name, CancellationToken cancellation) => sets.DeleteAsync(tenant, name, cancellation);
}
