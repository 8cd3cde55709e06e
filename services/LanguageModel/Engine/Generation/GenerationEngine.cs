using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>Log-likelihoods of candidates, in their order, and how long the shared prefix took.</summary>
public sealed record CandidateScores(IReadOnlyList<IReadOnlyList<float>> TokenLogLikelihoods, TimeSpan Prefill);

/// <summary>
/// Admission and generation together: waits for its turn, runs one request, gives everything back. An answer flows
/// through an unbounded channel (it is bounded by max_tokens anyway), so that a slow reader never holds the loop.
/// </summary>
public sealed class GenerationEngine(IModelRunner runner, AdmissionQueue admission, IReadOnlyCollection<int> modelStops, string weightsDigest, TimeProvider time)
{
    private readonly GenerationLoop _loop = new(runner, modelStops, weightsDigest, time);

    /// <summary>The answer's events. Leaving the enumeration early stops the request within one step.</summary>
    /// <exception cref="StageException">Overloaded, or Internal for logits that are not finite.</exception>
    public async IAsyncEnumerable<GenerationEvent> GenerateAsync(
        SequencePrompt prompt, SamplingParameters sampling, ITokenStream tokens, long arrived, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var channel = Channel.CreateUnbounded<GenerationEvent>(new() { SingleReader = true, SingleWriter = true });
        var running = ProduceAsync(prompt, sampling, tokens, arrived, channel.Writer, stop.Token);
        try
        {
            // the producer completes the channel when it is cancelled, after it has given its memory back
            await foreach (var generated in channel.Reader.ReadAllAsync(CancellationToken.None)) yield return generated;
        }
        finally
        {
            await stop.CancelAsync();
            await running;
        }
    }

    /// <summary>Scores every candidate after the prompt, whose keys and values are computed once.</summary>
    /// <exception cref="StageException">Overloaded, or Internal for logits that are not finite.</exception>
    public async Task<CandidateScores> RankAsync(SequencePrompt prompt, IReadOnlyList<IReadOnlyList<int>> candidates, CancellationToken cancellation)
    {
        using var lease = await admission.EnterAsync(cancellation);
        await using var sequence = await runner.StartAsync(prompt, cancellation);
        var started = time.GetTimestamp();
        await sequence.PrefillAsync(cancellation);
        var prefill = time.GetElapsedTime(started);
        var scores = new List<IReadOnlyList<float>>(candidates.Count);
        foreach (var candidate in candidates)
        {
            var likelihoods = await sequence.ScoreAsync(candidate, cancellation);
            // a logit of −∞ or NaN anywhere in a row makes its log-likelihoods unusable
            if (!likelihoods.All(float.IsFinite)) throw new StageException(StageErrorKind.Internal, "The model produced a non-finite logit; this request was stopped, others are not affected.");
            scores.Add(likelihoods);
        }

        return new CandidateScores(scores, prefill);
    }

    // never throws: what went wrong travels through the channel
    private async Task ProduceAsync(SequencePrompt prompt, SamplingParameters sampling, ITokenStream tokens, long arrived, ChannelWriter<GenerationEvent> events, CancellationToken cancellation)
    {
        try
        {
            using (await admission.EnterAsync(cancellation))
                await Task.Run(() => _loop.RunAsync(prompt, sampling, tokens, arrived, generated => events.TryWrite(generated), cancellation), cancellation);
            events.Complete();
        }
        catch (Exception exception)
        {
            events.Complete(exception);
        }
    }
}
