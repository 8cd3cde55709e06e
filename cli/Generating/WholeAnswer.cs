using System.Text;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Cli.Generating;

/// <summary>One of the answers to a prompt, gathered from its stream.</summary>
public sealed class GatheredSample
{
    private readonly StringBuilder _text = new();

    public string Text => _text.ToString();

    public List<int> Ids { get; } = [];

    public List<TokenLogProbability> LogProbabilities { get; } = [];

    /// <summary>What was said and what it looked at, one per id; the text of several ids that came at once stands at the first.</summary>
    public List<(string Text, int Id, TokenAttention? Map)> Looks { get; } = [];

    public void Add(AnswerTokens tokens)
    {
        _text.Append(tokens.Text);
        Ids.AddRange(tokens.Ids);
        LogProbabilities.AddRange(tokens.LogProbabilities);
        foreach (var (index, map) in tokens.Attention.Index()) Looks.Add((index == 0 ? tokens.Text : "", tokens.Ids[index], map));
    }
}

/// <summary>All that came back for one prompt.</summary>
/// <param name="Samples">At least one; the first answer first.</param>
public sealed record WholeAnswer(IReadOnlyList<GatheredSample> Samples, IReadOnlyList<PictureReport> Pictures, AnswerFinished Finished)
{
    public CacheUse Cache { get; init; } = CacheUse.None;

    /// <summary>What was drawn from a support set, where one was asked for.</summary>
    public SelectedShots? Shots { get; init; }

    /// <summary>How a sample ended; a service that does not say ended all of them alike.</summary>
    public FinishedSample EndOf(int sample) =>
        sample < Finished.Samples.Count ? Finished.Samples[sample] : new FinishedSample(Finished.Reason, Samples[sample].Ids.Count, null);
}
