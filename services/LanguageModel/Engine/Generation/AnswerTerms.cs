using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>What a request needs, besides its prompt, to send its answers to its caller.</summary>
/// <param name="ModelStops">Token ids at which answers end.</param>
/// <param name="NewText">Creates the decoder that turns the tokens of one answer into text.</param>
/// <param name="Events">Receives the events. Writing never blocks the loop; the loop pauses a request while its buffer is full.</param>
public sealed record AnswerTerms(
    IReadOnlyCollection<int> ModelStops, Func<ITokenStream> NewText, AnswerBuffer Events, string WeightsDigest, TimeProvider Time);

/// <summary>Writes the last event of a request, which is the same for sampled answers and for beams.</summary>
internal static class AnswerEnd
{
    public static void Finish(
        EngineRequest request, AnswerTerms terms, TimeSpan prefill, TimeSpan firstToken, IReadOnlyList<FinishedSample> samples)
    {
        request.Answers = samples;
        terms.Events.Write(AnswerFinished.OfLanguageModel(
            samples[0].Reason, request.Prompt.Ids.Count, samples.Sum(sample => sample.GeneratedTokens), prefill, firstToken,
            terms.Time.GetElapsedTime(request.Terms.Arrived), terms.WeightsDigest) with
        {
            CachedTokens = request.CachedTokens,
            Samples = samples,
        });
        terms.Events.Complete();
    }
}
