using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Sampling;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>
/// The best answers of a beam search. No event is written before the search has ended. The two beams that a beam splits into
/// share its blocks until one of them writes.
/// </summary>
public sealed class BeamAnswers(SequencePrompt prompt, RequestTerms terms, SamplingParameters sampling, AnswerTerms answer)
    : EngineRequest(prompt, terms)
{
    private readonly BeamSearch _search =
        new(sampling.Beams, sampling.LengthPenalty, [.. answer.ModelStops, .. sampling.StopTokens], prompt.Ids.Count, prompt.Capacity);
    private readonly TokenSampler _sampler = new(sampling, answer.ModelStops);
    private readonly List<float[]> _logits = [];
    private List<Sequence> _beams = [];
    private List<TokenHistory> _histories = [new(sampling, prompt.Ids)]; // of the prompt, then of each beam
    private TimeSpan _prefill;
    private TimeSpan _firstToken;

    public override int Width => sampling.Beams;

    public override IReadOnlyList<Sequence> Sequences => _beams.Count > 0 ? _beams : Root is null || _search.IsDone ? [] : [Root];

    public override bool IsFinished => _search.IsDone;

    public override int StepsLeft => Prompt.Capacity - Prompt.Ids.Count - _search.Length;

    public override int BlocksNeeded(int blockTokens) =>
        (Prompt.Ids.Count / blockTokens) + (sampling.Beams * BlocksBehindPrompt(Prompt.Capacity, blockTokens));

    public override void Accept(Sequence sequence, StepOutput output)
    {
        // All beams decode in the same step, in their order.
        _logits.Add(output.Logits[0]);
        if (_logits.Count < Math.Max(1, _beams.Count)) return;
        if (_beams.Count == 0) (_prefill, _firstToken) = (answer.Time.GetElapsedTime(Started), answer.Time.GetElapsedTime(Terms.Arrived));
        foreach (var logits in _logits) TokenSampler.CheckFinite(logits);
        var parents = _beams.Count == 0 ? [Root!] : _beams;
        var kept = _search.Step([.. _logits.Zip(_histories, Scores)]);
        _logits.Clear();
        if (_search.IsDone && _search.Best(1).Count == 0) throw _sampler.NoTokenLeft(_histories[0]);
        _histories = _search.IsDone ? [] : [.. kept.Select(beam => _histories[beam.Parent].Fork(beam.Token))];
        var beams = _search.IsDone ? [] : kept.Select(beam => parents[beam.Parent].Fork([beam.Token])).ToList();
        foreach (var parent in parents) parent.Release();
        _beams = beams;
        if (_search.IsDone) WriteBest();
    }

    public override void Fail(Exception exception) => answer.Events.Complete(exception);

    // As in transformers, bias and penalties are applied to log-probabilities here, not to logits.
    private float[] Scores(float[] logits, TokenHistory history)
    {
        var scores = LogProbabilities.LogSoftmax(logits);
        _sampler.Adjust(scores, history);
        return scores;
    }

    private void WriteBest()
    {
        var samples = new List<FinishedSample>();
        foreach (var (sample, hypothesis) in _search.Best(sampling.Samples).Index())
        {
            var text = answer.NewText();
            var texts = hypothesis.Ids.SkipLast(hypothesis.Stopped ? 1 : 0).Select(text.Push).ToList();
            answer.Events.Write(new AnswerTokens(string.Concat(texts) + text.Flush(), hypothesis.Ids) { Sample = sample });
            samples.Add(new FinishedSample(hypothesis.Stopped ? FinishReason.Stop : FinishReason.Length, hypothesis.Ids.Count,
                hypothesis.Score));
        }

        AnswerEnd.Finish(this, answer, _prefill, _firstToken, samples);
    }
}
