using Flamingo.LanguageModel.Engine.Sampling;
using Flamingo.LanguageModel.Engine.Scheduling;

namespace Flamingo.LanguageModel.Engine.Generation;

/// <summary>
/// Log-likelihoods of the tokens of each candidate, in the order of the candidates, and the time that the shared prefix took.
/// </summary>
public sealed record CandidateScores(IReadOnlyList<IReadOnlyList<float>> TokenLogLikelihoods, TimeSpan Prefill, int CachedTokens);

/// <summary>
/// Scores candidates after one prompt. The prompt is computed once; the candidates are scored after it, several at a time, and
/// share its blocks.
/// </summary>
public sealed class CandidateRanking(
    SequencePrompt prompt, RequestTerms terms, IReadOnlyList<Candidate> candidates, int mostAtOnce, ModelMemory memory,
    TaskCompletionSource<CandidateScores> result, TimeProvider time) : EngineRequest(prompt, terms)
{
    private readonly float[][] _scores = [.. candidates.Select(candidate => new float[candidate.Ids.Count])];
    private readonly Dictionary<Sequence, (int Candidate, int Scored)> _running = [];
    private readonly int _longest = candidates.Max(candidate => candidate.Ids.Count);

    // Number of candidates of more than one token. The logits after the prompt are enough to score a candidate of one token.
    private readonly int _long = candidates.Count(candidate => candidate.Ids.Count > 1);
    private int _next;
    private int _finished;
    private TimeSpan _prefill;

    public override int Width => 1;

    public override bool GeneratesTokens => false;

    public override IReadOnlyList<Sequence> Sequences =>
        _running.Count > 0 ? [.. _running.Keys] : Root is null || _finished > 0 ? [] : [Root];

    public override bool IsFinished => _finished == candidates.Count;

    public override int StepsLeft => 1 + ((candidates.Count - _finished) / AtOnce);

    // Candidates take at most about half of the memory, because other requests need some too. Fewer then run at once: the ranking takes
    // more steps and gives the same scores.
    private int AtOnce =>
        Math.Clamp(((memory.Blocks / 2) - PromptBlocks) / Math.Max(1, BlocksOfCandidate), 1, Math.Max(1, Math.Min(_long, mostAtOnce)));

    private int PromptBlocks => (Prompt.Ids.Count + memory.BlockTokens - 1) / memory.BlockTokens;

    // The last token of a candidate is scored and never computed.
    private int BlocksOfCandidate => _long == 0 ? 0 : BlocksBehindPrompt(Prompt.Ids.Count + _longest - 1, memory.BlockTokens);

    public override int BlocksNeeded(int blockTokens) => PromptBlocks + (AtOnce * BlocksOfCandidate);

    public override void Accept(Sequence sequence, StepOutput output)
    {
        if (sequence == Root)
        {
            _prefill = time.GetElapsedTime(Started);
            TokenSampler.CheckFinite(output.Logits[0]);
            var first = LogProbabilities.LogSoftmax(output.Logits[0]);
            foreach (var (index, candidate) in candidates.Index()) _scores[index][0] = first[candidate.Ids[0]];
            _finished = candidates.Count(candidate => candidate.Ids.Count == 1);
        }
        else
        {
            var (candidate, scored) = _running[sequence];
            foreach (var score in output.Scores)
            {
                if (!float.IsFinite(score)) throw TokenSampler.NotFinite();
                _scores[candidate][++scored] = score;
            }

            _running[sequence] = (candidate, scored);
            if (scored == candidates[candidate].Ids.Count - 1)
            {
                _running.Remove(sequence);
                sequence.Release();
                _finished++;
            }
        }

        Launch();
        if (IsFinished) result.TrySetResult(new CandidateScores(_scores, _prefill, CachedTokens));
    }

    public override void Fail(Exception exception) => result.TrySetException(exception);

    private void Launch()
    {
        for (; _running.Count < AtOnce && _next < candidates.Count; _next++)
        {
            var (ids, pictures) = candidates[_next];
            if (ids.Count > 1) _running.Add(Root!.Fork(ids.SkipLast(1), [.. ids.Skip(1)], pictures), (_next, 0));
        }
    }
}
