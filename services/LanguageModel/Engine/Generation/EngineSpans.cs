using System.Diagnostics;
using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>
/// The spans of the engine. A request has one for each of its steps: queue, prefill and decode. They are written when it ends, because its
/// steps run on a thread that serves many requests. A step of the engine that computes prompts has one too, with links to the requests that
/// ride in it; steps that only decode have none, because there is one for every token.
/// </summary>
internal static class EngineSpans
{
    private static readonly ActivitySource Steps = new("Flamingo.LanguageModel");

    /// <returns>The span of a step, which the caller disposes; null if it is not recorded.</returns>
    public static Activity? Begin(StepPlan plan)
    {
        if (!Steps.HasListeners() || plan.Chunks.All(chunk => Scheduler.IsDecoding(chunk.Sequence))) return null;
        var span = RequestTrace.BeginBatch(Steps, "batch prefill", plan.Chunks.Select(chunk => chunk.Sequence.Request.Trace));
        return span?.SetTag("flamingo.batch.size", plan.Chunks.Count)
            .SetTag("flamingo.batch.tokens", plan.Chunks.Sum(chunk => chunk.Tokens));
    }

    /// <summary>Writes the spans of a request that ends now.</summary>
    public static void Write(EngineRequest request, Exception? failure, TimeProvider time)
    {
        if (!Steps.HasListeners()) return;
        var now = time.GetTimestamp();
        var (trace, error) = (request.Trace, failure);
        trace.Write(Steps, "queue", request.Terms.Arrived, request.Admitted == 0 ? now : request.Admitted, time, span =>
        {
            if (request.Admitted == 0) Fail(span, error);
        });
        trace.Write(Steps, "prefill", request.Admitted, request.FirstToken == 0 ? now : request.FirstToken, time, span =>
        {
            span.SetTag("gen_ai.usage.input_tokens", request.Prompt.Ids.Count)
                .SetTag("gen_ai.usage.cache_read.input_tokens", request.CachedTokens);
            if (request.FirstToken == 0) Fail(span, error);
        });
        trace.Write(Steps, "decode", request.FirstToken, now, time, span =>
        {
            span.SetTag("gen_ai.usage.output_tokens", request.Answers.Sum(answer => answer.GeneratedTokens));
            Fail(span, error);
        });
    }

    private static void Fail(Activity span, Exception? failure)
    {
        if (failure is null) return;
        span.SetTag("error.type", failure is FlamingoException flamingo ? $"{flamingo.Kind}" : failure.GetType().Name);
        span.SetStatus(ActivityStatusCode.Error);
    }
}
