using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>What callers use of the engine: a request goes into its queue, and the answer comes out of a channel of its own.</summary>
/// <param name="modelStops">Token ids at which every answer ends.</param>
public sealed class GenerationEngine(
    IModelRunner runner, EngineLimits limits, IReadOnlyCollection<int> modelStops, string weightsDigest, TimeProvider time,
    ILogger<GenerationEngine>? log = null) : IAsyncDisposable
{
    private readonly EngineLoop _loop = new(runner, limits, time, log ?? NullLogger<GenerationEngine>.Instance);

    /// <summary>What is held and what was done; after the last step.</summary>
    public EngineStatistics Statistics => _loop.Statistics;

    /// <summary>The events of all answers. Leaving the enumeration early ends the request before the next step.</summary>
    /// <param name="newText">Makes the text of one answer.</param>
    /// <exception cref="FlamingoException">InvalidArgument, LatentsMissing, Overloaded, or Internal for logits that are not finite.</exception>
    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(
        SequencePrompt prompt, SamplingParameters sampling, AttentionChoice? attention, Func<ITokenStream> newText, RequestTerms terms, [EnumeratorCancellation] CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var channel = Channel.CreateUnbounded<AnswerEvent>(new() { SingleReader = true, SingleWriter = true });
        var answer = new AnswerTerms(modelStops, newText, channel.Writer, weightsDigest, time);
        EngineRequest request = sampling.Beams > 1
            ? new BeamAnswers(prompt, terms, sampling, answer)
            : new SampledAnswers(prompt, terms, sampling, attention, answer);
        _loop.Submit(request);
        try
        {
            await foreach (var generated in channel.Reader.ReadAllAsync(cancellation)) yield return generated;
        }
        finally
        {
            _loop.Cancel(request); // nothing to do after the last event
        }
    }

    /// <summary>Scores every candidate after the prompt, which is computed once.</summary>
    /// <exception cref="FlamingoException">
    /// InvalidArgument, LatentsMissing, Overloaded, or Internal for logits that are not finite.
    /// </exception>
    public async Task<CandidateScores> RankAsync(SequencePrompt prompt, IReadOnlyList<Candidate> candidates, RequestTerms terms,
        CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var result = new TaskCompletionSource<CandidateScores>(TaskCreationOptions.RunContinuationsAsynchronously);
        var request = new CandidateRanking(prompt, terms, candidates, limits.MaxCandidatesAtOnce, runner.Memory, result, time);
        _loop.Submit(request);
        try
        {
            return await result.Task.WaitAsync(cancellation);
        }
        finally
        {
            _loop.Cancel(request);
        }
    }

    public ValueTask DisposeAsync() => _loop.DisposeAsync();
}
