using System.Runtime.InteropServices;
using Flamingo.Abstractions;

namespace Flamingo.LanguageModel.Engine.Sampling;

/// <summary>
/// What the sampling parameters of a request need to know about the tokens of one sequence. Every token is added once, so that no step
/// looks at all earlier tokens again, except to find repeated n-grams. What no parameter needs is not kept.
/// </summary>
public sealed class TokenHistory
{
    private readonly HashSet<int>? _seen;
    private readonly Dictionary<int, int>? _counts;
    private readonly List<int>? _ids;

    public TokenHistory(SamplingParameters sampling, IReadOnlyList<int> prompt)
    {
        if (sampling.RepetitionPenalty != 1) _seen = [.. prompt];
        if (sampling.FrequencyPenalty != 0 || sampling.PresencePenalty != 0) _counts = [];
        if (sampling.NoRepeatNgramSize > 0) _ids = [.. prompt];
    }

    private TokenHistory(TokenHistory other)
    {
        Generated = other.Generated;
        if (other._seen is not null) _seen = [.. other._seen];
        if (other._counts is not null) _counts = new(other._counts);
        if (other._ids is not null) _ids = [.. other._ids];
    }

    /// <summary>Number of tokens of the answer so far.</summary>
    public int Generated { get; private set; }

    /// <summary>Ids that occur in the prompt or in the answer; empty without a repetition penalty.</summary>
    public IReadOnlyCollection<int> Seen => _seen ?? (IReadOnlyCollection<int>)[];

    /// <summary>
    /// For each id of the answer, how often it occurs there; empty without a frequency or presence penalty.
    /// </summary>
    public IReadOnlyCollection<KeyValuePair<int, int>> Counts => _counts ?? (IReadOnlyCollection<KeyValuePair<int, int>>)[];

    /// <summary>Ids of the prompt and of the answer, in order; empty if n-grams may repeat.</summary>
    public ReadOnlySpan<int> Ids => CollectionsMarshal.AsSpan(_ids);

    /// <summary>Adds a token to the answer.</summary>
    public void Add(int token)
    {
        Generated++;
        _seen?.Add(token);
        _ids?.Add(token);
        if (_counts is not null) CollectionsMarshal.GetValueRefOrAddDefault(_counts, token, out _)++;
    }

    /// <summary>Returns a copy to which a token is added.</summary>
    public TokenHistory Fork(int token)
    {
        var fork = new TokenHistory(this);
        fork.Add(token);
        return fork;
    }
}
