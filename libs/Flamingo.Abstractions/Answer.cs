namespace Flamingo.Abstractions;

/// <summary>One of the answers to a prompt, from all the tokens that arrived for it.</summary>
/// <param name="Parts">In order of arrival.</param>
public sealed record AnswerSample(IReadOnlyList<AnswerTokens> Parts)
{
    /// <summary>Without the stop token.</summary>
    public string Text { get; } = string.Concat(Parts.Select(part => part.Text));

    /// <summary>Token ids, the stop token included.</summary>
    public IReadOnlyList<int> Ids { get; } = [.. Parts.SelectMany(part => part.Ids)];

    /// <summary>One per id, where asked for.</summary>
    public IReadOnlyList<TokenLogProbability> LogProbabilities { get; } = [.. Parts.SelectMany(part => part.LogProbabilities)];

    /// <summary>One per id, where asked for; null for a token that sees no picture.</summary>
    public IReadOnlyList<TokenAttention?> Attention { get; } = [.. Parts.SelectMany(part => part.Attention)];
}

/// <summary>Everything that came back for a prompt.</summary>
/// <param name="Samples">At least one; with beams the best first.</param>
public sealed record Answer(IReadOnlyList<AnswerSample> Samples, PicturesResolved Resolved, AnswerFinished Finished)
{
    /// <summary>Of the first answer.</summary>
    public string Text => Samples[0].Text;

    /// <summary>Of the first answer.</summary>
    public IReadOnlyList<int> Ids => Samples[0].Ids;

    /// <inheritdoc cref="PicturesResolved.Pictures"/>
    public IReadOnlyList<PictureReport> Pictures => Resolved.Pictures;

    /// <summary>What the latent cache did for this prompt.</summary>
    public CacheUse Cache => Resolved.Cache;

    /// <summary>What was drawn from a support set, where one was asked for.</summary>
    public SelectedShots? Shots => Resolved.Shots;

    /// <summary>How a sample ended. A service that does not say it for each one ended all of them alike.</summary>
    public FinishedSample EndOf(int sample) => sample < Finished.Samples.Count
        ? Finished.Samples[sample]
        : new FinishedSample(Finished.Reason, Samples[sample].Ids.Count, null);

    /// <summary>Reads an answer to its end.</summary>
    /// <exception cref="FlamingoException">What the events throw; Unavailable where they end before the answer does.</exception>
    public static async Task<Answer> ReadAsync(IAsyncEnumerable<AnswerEvent> events, CancellationToken cancellation = default)
    {
        var gathered = new AnswerBuilder();
        await foreach (var item in events.WithCancellation(cancellation)) gathered.Add(item);
        return gathered.Build();
    }
}

/// <summary>Gathers an answer from its events, for a caller that also does something else with each of them.</summary>
public sealed class AnswerBuilder
{
    private readonly SortedDictionary<int, List<AnswerTokens>> _parts = new() { [0] = [] };
    private PicturesResolved? _resolved;
    private AnswerFinished? _finished;

    public void Add(AnswerEvent item)
    {
        if (item is PicturesResolved resolved) _resolved = resolved;
        else if (item is AnswerFinished finished) _finished = finished;
        else if (item is AnswerTokens tokens)
        {
            if (!_parts.TryGetValue(tokens.Sample, out var parts)) _parts[tokens.Sample] = parts = [];
            parts.Add(tokens);
        }
    }

    /// <exception cref="FlamingoException">Unavailable: the first or the last event is missing.</exception>
    public Answer Build() => _resolved is null || _finished is null
        ? throw new FlamingoException(FlamingoErrorKind.Unavailable, "The answer ended before it was finished. Ask again.")
        : new Answer([.. _parts.Values.Select(parts => new AnswerSample(parts))], _resolved, _finished);
}
