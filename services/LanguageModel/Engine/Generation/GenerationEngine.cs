using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>
/// The public interface of the engine. It puts each request into the queue and returns the answer through a buffer that belongs
/// to the request.
/// </summary>
/// <param name="modelStops">Token ids at which every answer ends.</param>
/// <param name="model">Id of the model, for metrics.</param>
public sealed class GenerationEngine(
    IModelRunner runner, EngineLimits limits, IReadOnlyCollection<int> modelStops, string weightsDigest, TimeProvider time,
    ILogger<GenerationEngine>? log = null, string model = "") : IAsyncDisposable
{
    private readonly EngineLoop _loop = new(runner, limits, time, log ?? NullLogger<GenerationEngine>.Instance, model);

    /// <summary>What the engine held and had computed after the last step.</summary>
    public EngineStatistics Statistics => _loop.Statistics;

    /// <summary>The engine's loop, as seen by those who watch the process.</summary>
    public Worker Worker => _loop.Worker;

    /// <summary>
    /// Generates answers and returns the events of all of them. A caller that leaves the enumeration early ends the request
    /// before the next step.
    /// </summary>
    /// <param name="newText">Creates the decoder that turns the tokens of one answer into text.</param>
    /// <exception cref="FlamingoException">InvalidArgument, LatentsMissing, Overloaded, Aborted for a caller that does not read its
    /// answer, or Internal for logits that are not finite.</exception>
    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(
        SequencePrompt prompt, SamplingParameters sampling, AttentionChoice? attention, Func<ITokenStream> newText, RequestTerms terms,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        using var events = new AnswerBuffer(limits.WriteStallTimeout, "LanguageModel:WriteStallTimeout", time) { HasRoom = _loop.Wake };
        var answer = new AnswerTerms(modelStops, newText, events, weightsDigest, time);
        EngineRequest request = sampling.Beams > 1
            ? new BeamAnswers(prompt, terms, sampling, answer)
            : new SampledAnswers(prompt, terms, sampling, attention, answer);
        _loop.Submit(request);
        using var stalled = events.Stalled.UnsafeRegister(_ => _loop.Cancel(request), null);
        try
        {
            await foreach (var generated in events.ReadAllAsync(cancellation)) yield return generated;
        }
        finally
        {
            _loop.Cancel(request); // does nothing after the last event
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
