using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Sampling;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>
/// One or several answers to one prompt, greedy or sampled. Each answer has its own seed, text and finish reason, and all share
/// the prompt's blocks.
/// </summary>
public sealed class SampledAnswers(
    SequencePrompt prompt, RequestTerms terms, SamplingParameters sampling, AttentionChoice? attention,
    AnswerTerms answer) : EngineRequest(prompt, terms)
{
    private readonly TokenSampler _sampler = new(sampling, answer.ModelStops);
    private readonly List<Branch> _branches = [];
    private TimeSpan _prefill;
    private TimeSpan _firstToken;

    public override int Width => sampling.Samples;

    public override AttentionChoice? Attention => attention;

    public override bool WantsOnlyBest => _sampler.TakesOnlyBest && sampling.LogProbabilities is null;

    public override bool WantsPause => answer.Events.IsFull;

    public override bool PublishesAnswer => sampling.Samples == 1;

    public override IReadOnlyList<Sequence> Sequences => _branches.Count == 0
        ? Root is null ? [] : [Root]
        : [.. _branches.Where(branch => branch.End is null).Select(branch => branch.Sequence)];

    public override bool IsFinished => _branches.Count > 0 && _branches.TrueForAll(branch => branch.End is not null);

    public override int StepsLeft =>
        Prompt.Capacity - (
            _branches.Count == 0
                ? Prompt.Ids.Count
                : _branches.Where(branch => branch.End is null)
                    .Select(branch => branch.Sequence.Ids.Count)
                    .DefaultIfEmpty(Prompt.Capacity)
                    .Min());

    public override int BlocksNeeded(int blockTokens) =>
        (Prompt.Ids.Count / blockTokens) + (sampling.Samples * BlocksBehindPrompt(Prompt.Capacity, blockTokens));

    public override void Accept(Sequence sequence, StepOutput output)
    {
        if (_branches.Count > 0)
        {
            Continue(_branches.First(branch => branch.Sequence == sequence), output, output.Logits.FirstOrDefault());
        }
        else
        {
            (_prefill, _firstToken) = (answer.Time.GetElapsedTime(Started), answer.Time.GetElapsedTime(Terms.Arrived));
            for (var sample = 0; sample < sampling.Samples; sample++)
                _branches.Add(
                    new Branch(
                        sample, sample == 0 ? Root! : Root!.Fork([]), answer.NewText(), new StopStringFilter(sampling.StopStrings),
                        new TokenHistory(sampling, Prompt.Ids)));
            foreach (var branch in _branches) Continue(branch, output, output.Best is null ? [.. output.Logits[0]] : null);
        }

        if (IsFinished) AnswerEnd.Finish(this, answer, _prefill, _firstToken, [.. _branches.Select(branch => branch.End!)]);
    }

    public override void Fail(Exception exception) => answer.Events.Complete(exception);

    /// <param name="logits">Logits of the next token, which are changed in place; null if only the most likely id was requested.</param>
    private void Continue(Branch branch, StepOutput output, float[]? logits)
    {
        var (position, weights) = (branch.Sequence.Ids.Count, output.Attention);
        var before = sampling.LogProbabilities is null ? null : LogProbabilities.LogSoftmax(logits);
        var token = output.Best is { } best
            ? best >= 0 ? best : throw TokenSampler.NotFinite()
            : _sampler.Next(logits, branch.History, position, branch.Sample);
        branch.History.Add(token);
        branch.Sequence.Ids.Add(token);

        var stop = answer.ModelStops.Contains(token) || sampling.StopTokens.Contains(token);
        var mayStop = branch.History.Generated > sampling.MinTokens;
        var text = branch.Filter.Push(stop ? branch.Text.Flush() : branch.Text.Push(token), mayStop);
        var length = !stop && !branch.Filter.Stopped && branch.Sequence.Ids.Count >= Prompt.Capacity;
        if (length) text += branch.Filter.Push(branch.Text.Flush(), mayStop);
        if (stop || length) text += branch.Filter.Flush();
        answer.Events.Write(new AnswerTokens(text, [token])
        {
            Sample = branch.Sample,
            LogProbabilities = before is null
                ? []
                : [LogProbabilities.Of(before, token, sampling.LogProbabilities!.Value, branch.Text.TextOf)],
            Attention = attention is null
                ? []
                : [
                    weights is null
                        ? null
                        : new TokenAttention(Prompt.PictureAt(position - 1), TensorData.FromFloats(weights, weights.Length))
                ],
        });
        if (!stop && !length && !branch.Filter.Stopped) return;
        branch.End = new FinishedSample(
            stop || branch.Filter.Stopped ? FinishReason.Stop : FinishReason.Length, branch.Sequence.Ids.Count - Prompt.Ids.Count, null);
        branch.Sequence.Release();
    }

    private sealed class Branch(int sample, Sequence sequence, ITokenStream text, StopStringFilter filter, TokenHistory history)
    {
        public int Sample { get; } = sample;

        public Sequence Sequence { get; } = sequence;

        public ITokenStream Text { get; } = text;

        public StopStringFilter Filter { get; } = filter;

        public TokenHistory History { get; } = history;

        public FinishedSample? End { get; set; }
    }
}
