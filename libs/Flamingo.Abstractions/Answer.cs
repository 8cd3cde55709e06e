namespace Flamingo.Abstractions;

/// <summary>One answer to a prompt, assembled from all token events that arrived for it.</summary>
/// <param name="Parts">Token events in order of arrival.</param>
public sealed record AnswerSample(IReadOnlyList<AnswerTokens> Parts)
{
    /// <summary>The answer's text, without the stop token.</summary>
    public string Text { get; } = string.Concat(Parts.Select(part => part.Text));

    /// <summary>Token ids, the stop token included.</summary>
    public IReadOnlyList<int> Ids { get; } = [.. Parts.SelectMany(part => part.Ids)];

    /// <summary>One log-probability per id; empty unless the request asked for log-probabilities.</summary>
    public IReadOnlyList<TokenLogProbability> LogProbabilities { get; } = [.. Parts.SelectMany(part => part.LogProbabilities)];

    /// <summary>Attention per id; empty unless the request asked for attention, null for a token that attends to no picture.</summary>
    public IReadOnlyList<TokenAttention?> Attention { get; } = [.. Parts.SelectMany(part => part.Attention)];
}

/// <summary>The complete response to a prompt.</summary>
/// <param name="Samples">At least one answer; a beam search returns the best answer first.</param>
public sealed record Answer(IReadOnlyList<AnswerSample> Samples, PicturesResolved Resolved, AnswerFinished Finished)
{
    /// <summary>Text of the first answer.</summary>
    public string Text => Samples[0].Text;

    /// <summary>Token ids of the first answer, the stop token included.</summary>
    public IReadOnlyList<int> Ids => Samples[0].Ids;

    /// <inheritdoc cref="PicturesResolved.Pictures"/>
    public IReadOnlyList<PictureReport> Pictures => Resolved.Pictures;

    /// <summary>What the latent cache did for this prompt.</summary>
    public CacheUse Cache => Resolved.Cache;

    /// <summary>The shots that were selected from a support set; null if the request named no support set.</summary>
    public SelectedShots? Shots => Resolved.Shots;

    /// <summary>
    /// How an answer ended. If the service did not report each answer separately, every answer ended for the same reason.
    /// </summary>
    public FinishedSample EndOf(int sample) => sample < Finished.Samples.Count
        ? Finished.Samples[sample]
        : new FinishedSample(Finished.Reason, Samples[sample].Ids.Count, null);

    /// <summary>Reads all events and returns the complete answer.</summary>
    /// <exception cref="FlamingoException">Any exception that the events throw; Unavailable if the events end before the answer
    /// is finished.</exception>
    public static async Task<Answer> ReadAsync(IAsyncEnumerable<AnswerEvent> events, CancellationToken cancellation = default)
    {
        var gathered = new AnswerBuilder();
        await foreach (var item in events.WithCancellation(cancellation)) gathered.Add(item);
        return gathered.Build();
    }
}

/// <summary>Builds an answer from its events, for a caller that also processes each event itself.</summary>
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
