using Flamingo.LanguageModel.Engine.Sampling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>One answer: prefill, then sample and decode until a stop token, a stop string or the limit.</summary>
public sealed class GenerationLoop(IModelRunner runner, IReadOnlyCollection<int> modelStops, string weightsDigest, TimeProvider time)
{
    /// <param name="tokens">Makes text of ids; one per answer.</param>
    /// <param name="arrived">Timestamp of the request's arrival: FirstToken and Total count from it.</param>
    /// <param name="emit">Called for every event in order; must not block.</param>
    public async Task RunAsync(SequencePrompt prompt, SamplingParameters sampling, ITokenStream tokens, long arrived, Action<GenerationEvent> emit, CancellationToken cancellation)
    {
        var most = prompt.Capacity - prompt.Ids.Count;
        var seen = new HashSet<int>(prompt.Ids);
        var filter = new StopStringFilter(sampling.StopStrings);
        await using var sequence = await runner.StartAsync(prompt, cancellation);

        var started = time.GetTimestamp();
        var logits = await sequence.PrefillAsync(cancellation);
        var prefill = time.GetElapsedTime(started);
        TimeSpan? firstToken = null;
        for (var count = 1; ; count++)
        {
            var token = TokenSampler.Next(logits, sampling, seen, prompt.Ids.Count + count - 1);
            firstToken ??= time.GetElapsedTime(arrived);
            seen.Add(token);
            var stop = modelStops.Contains(token) || sampling.StopTokens.Contains(token);
            var text = stop ? filter.Push(tokens.Flush()) : filter.Push(tokens.Push(token));
            var length = !stop && !filter.Stopped && count == most;
            if (length) text += filter.Push(tokens.Flush());
            if (stop || length) text += filter.Flush();
            emit(new TokensGenerated(text, [token]));
            if (stop || length || filter.Stopped)
            {
                var reason = stop || filter.Stopped ? FinishReason.Stop : FinishReason.Length;
                emit(new GenerationFinished(reason, prompt.Ids.Count, count, prefill, firstToken.Value, time.GetElapsedTime(arrived), weightsDigest));
                return;
            }

            logits = await sequence.DecodeAsync(token, cancellation);
        }
    }
}
