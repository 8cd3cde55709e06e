using System.Threading.Channels;
using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>What a request needs besides its prompt to tell its caller of its answers.</summary>
/// <param name="ModelStops">Ids at which answers end.</param>
/// <param name="NewText">Makes the text of one answer.</param>
/// <param name="Events">Unbounded: an answer is bounded by max_tokens, and a slow reader must not hold the loop.</param>
public sealed record AnswerTerms(IReadOnlyCollection<int> ModelStops, Func<ITokenStream> NewText, ChannelWriter<AnswerEvent> Events, string WeightsDigest, TimeProvider Time);

/// <summary>The last event of a request, the same for sampled answers and for beams.</summary>
internal static class AnswerEnd
{
    public static void Finish(
        EngineRequest request, AnswerTerms terms, TimeSpan prefill, TimeSpan firstToken, IReadOnlyList<FinishedSample> samples)
    {
        terms.Events.TryWrite(AnswerFinished.OfLanguageModel(
            samples[0].Reason, request.Prompt.Ids.Count, samples.Sum(sample => sample.GeneratedTokens), prefill, firstToken,
            terms.Time.GetElapsedTime(request.Terms.Arrived), terms.WeightsDigest) with
        {
            CachedTokens = request.CachedTokens,
            Samples = samples,
        });
        terms.Events.TryComplete();
    }
}
