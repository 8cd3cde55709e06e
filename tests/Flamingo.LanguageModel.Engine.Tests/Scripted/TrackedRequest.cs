using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Generation;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Tests.Scripted;

/// <summary>A request to the engine, and its events and result.</summary>
internal sealed class TrackedRequest
{
    private readonly AnswerBuffer _events;
    private readonly List<AnswerTokens> _tokens = [];
    private readonly TaskCompletionSource<CandidateScores> _scores = new();
    private Exception? _failure;
    private bool _ended;

    public TrackedRequest(
        SequencePrompt prompt, RequestTerms terms, SamplingParameters sampling, TimeProvider time, AttentionChoice? attention = null)
    {
        _events = new AnswerBuffer(TimeSpan.FromHours(1), "no option", time);
        var answer = new AnswerTerms([ScriptedModel.Stop], ScriptedText.Letters, _events, "digest", time);
        (Prompt, Sampling) = (prompt, sampling);
        Request = sampling.Beams > 1
            ? new BeamAnswers(prompt, terms, sampling, answer)
            : new SampledAnswers(prompt, terms, sampling, attention, answer);
    }

    public TrackedRequest(
        SequencePrompt prompt, RequestTerms terms, IReadOnlyList<IReadOnlyList<int>> candidates, int mostAtOnce, ModelMemory memory,
        TimeProvider time)
    {
        _events = new AnswerBuffer(TimeSpan.FromHours(1), "no option", time);
        (Prompt, Candidates) = (prompt, candidates);
        Request = new CandidateRanking(prompt, terms, Prompts.Behind(prompt, candidates), mostAtOnce, memory, _scores, time);
    }

    public EngineRequest Request { get; }

    public SequencePrompt Prompt { get; }

    /// <summary>Sampling parameters; null for a ranking.</summary>
    public SamplingParameters? Sampling { get; }

    public IReadOnlyList<IReadOnlyList<int>> Candidates { get; } = [];

    public bool HasEnded => Sampling is null ? _scores.Task.IsCompleted : Read();

    /// <summary>The exception with which the request failed; null if it succeeded.</summary>
    public Exception? Failure
    {
        get
        {
            if (!HasEnded) return null;
            if (Sampling is not null) return _failure;
            return _scores.Task.IsCanceled ? new OperationCanceledException() : _scores.Task.Exception?.InnerException;
        }
    }

    /// <summary>The events received so far.</summary>
    public IReadOnlyList<AnswerTokens> Tokens
    {
        get
        {
            Read();
            return _tokens;
        }
    }

    public AnswerFinished? Finished { get; private set; }

    public CandidateScores Scores => _scores.Task.Result;

    /// <summary>The answers, in the order of samples.</summary>
    public IReadOnlyList<PlainAnswer> Answers =>
        [.. (HasEnded ? Finished! : throw new InvalidOperationException("The request has not ended.")).Samples.Select((end, sample) =>
    {
        var mine = _tokens.Where(tokens => tokens.Sample == sample).ToList();
        return new PlainAnswer(
            [.. mine.SelectMany(tokens => tokens.Ids)], string.Concat(mine.Select(tokens => tokens.Text)), end.Reason, end.Score);
    })];

    /// <summary>
    /// Asserts that the answer equals the reference, or that the request failed because a logit of the model is not finite or the sampling
    /// parameters leave no token.
    /// </summary>
    public void AssertAnswersLikeReference()
    {
        Assert.True(HasEnded);
        var (answers, failures) = (new List<PlainAnswer>(), new HashSet<FlamingoErrorKind>());
        IReadOnlyList<IReadOnlyList<float>>? scores = null;
        if (Sampling is null) Try(() => scores = ReferenceAnswers.Rank(Prompt, Candidates));
        else if (Sampling.Beams > 1) Try(() => answers = ReferenceAnswers.Beams(Prompt, Sampling));
        else for (var sample = 0; sample < Sampling.Samples; sample++)
            Try(() => answers.Add(ReferenceAnswers.Sample(Prompt, Sampling, sample)));

        if (failures.Count > 0)
        {
            Assert.True(
                Failure is FlamingoException failed && failures.Contains(failed.Kind),
                $"{this} should have failed with {string.Join(" or ", failures)}. {Failure}");
            return;
        }

        Assert.True(Failure is null, $"{this} failed. {Failure}");
        if (scores is not null) Assert.Equal(scores, Scores.TokenLogLikelihoods);
        if (Sampling is null) return;
        Assert.Equal(answers.Count, Answers.Count);
        foreach (var (expected, actual) in answers.Zip(Answers))
        {
            Assert.Equal(expected.Ids, actual.Ids);
            Assert.Equal((expected.Text, expected.Reason), (actual.Text, actual.Reason));
            if (expected.Score is { } score) Assert.Equal(score, actual.Score!.Value, 9);
        }

        void Try(Action reference)
        {
            try
            {
                reference();
            }
            catch (FlamingoException failure)
            {
                failures.Add(failure.Kind);
            }
        }
    }

    public override string ToString() =>
        $"[{string.Join(' ', Prompt.Ids)}] to {Prompt.Capacity}, "
        + $"{Sampling?.ToString() ?? string.Join(", ", Candidates.Select(ids => string.Join(' ', ids)))}";

    private bool Read()
    {
        Task? changed = null;
        try
        {
            while (!_ended && _events.TryTake(out var generated, out changed))
            {
                Assert.Null(Finished);
                if (generated is AnswerTokens tokens) _tokens.Add(tokens);
                Finished = generated as AnswerFinished;
            }
        }
        catch (Exception failure)
        {
            _failure = failure;
        }

        return _ended |= changed is null;
    }
}
