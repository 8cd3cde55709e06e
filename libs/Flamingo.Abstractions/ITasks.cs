namespace Flamingo.Abstractions;

/// <summary>
/// What models like these are mostly asked, in the words that the checkpoint was trained on: thin calls over
/// <see cref="IFlamingo"/>.
/// </summary>
public interface ITasks
{
    /// <exception cref="FlamingoException">
    /// As <see cref="IFlamingo.GenerateAsync"/>; InvalidArgument also where the checkpoint has no template for it.
    /// </exception>
    Task<TaskAnswer> CaptionAsync(CaptionTask task, CancellationToken cancellation = default);

    /// <inheritdoc cref="CaptionAsync"/>
    Task<TaskAnswer> AnswerAsync(AnswerTask task, CancellationToken cancellation = default);

    /// <inheritdoc cref="CaptionAsync"/>
    Task<Classification> ClassifyAsync(ClassifyTask task, CancellationToken cancellation = default);

    /// <summary>The model's next words in a conversation: the events of <see cref="IFlamingo.GenerateAsync"/>.</summary>
    /// <inheritdoc cref="CaptionAsync"/>
    IAsyncEnumerable<AnswerEvent> ChatAsync(ChatTask task, CancellationToken cancellation = default);
}

/// <summary>What all tasks are told: a picture, and examples before it.</summary>
public sealed record TaskPrompt(FlamingoVisual Visual)
{
    /// <inheritdoc cref="TenantName"/>
    public string Tenant { get; init; } = TenantName.Default;

    /// <summary>In the order of the prompt, behind those of a support set.</summary>
    public IReadOnlyList<TaskExample> Examples { get; init; } = [];

    /// <summary>Its texts are whole examples as stored, "Output:a dog"; only for templates that begin with the picture.</summary>
    public SupportSetChoice? SupportSet { get; init; }

    /// <summary>Whether the checkpoint's own examples without pictures go first. Null: where there are no others.</summary>
    public bool? ZeroShot { get; init; }

    /// <inheritdoc cref="FlamingoRequest.PinPrefix"/>
    public TimeSpan? PinPrefix { get; init; }
}

/// <param name="Visual">Null: an example of words alone.</param>
/// <param name="Question">Of <see cref="AnswerTask"/>; empty for the others.</param>
/// <param name="Answer">The caption, the answer or the label.</param>
public sealed record TaskExample(FlamingoVisual? Visual, string Question, string Answer);

public sealed record CaptionTask(TaskPrompt Prompt, SamplingParameters Sampling);

public sealed record AnswerTask(TaskPrompt Prompt, string Question, SamplingParameters Sampling);

/// <param name="Labels">1 to the model's most candidates, none empty or twice.</param>
public sealed record ClassifyTask(TaskPrompt Prompt, IReadOnlyList<string> Labels)
{
    public LabelScoring Scoring { get; init; } = LabelScoring.Mean;

    /// <inheritdoc cref="FlamingoRankRequest.Ensemble"/>
    public Ensemble? Ensemble { get; init; }
}

/// <param name="Visuals">Any number; the template tells where in the turn they stand.</param>
/// <param name="Text">The user's words; may be empty beside a picture.</param>
/// <param name="Reply">What was streamed, unchanged; null in the last turn, which is to be answered, and there alone.</param>
public sealed record ChatTurn(IReadOnlyList<FlamingoVisual> Visuals, string Text, string? Reply = null);

/// <param name="Turns">In order; at least one.</param>
public sealed record ChatTask(IReadOnlyList<ChatTurn> Turns, SamplingParameters Sampling)
{
    /// <inheritdoc cref="TenantName"/>
    public string Tenant { get; init; } = TenantName.Default;

    /// <inheritdoc cref="FlamingoRequest.PinPrefix"/>
    public TimeSpan? PinPrefix { get; init; }
}

/// <summary>What a label's score is.</summary>
public enum LabelScoring
{
    /// <summary>Log-likelihood per token: long labels are as good as short ones.</summary>
    Mean = 1,

    /// <summary>Log-likelihood of the whole label.</summary>
    Sum = 2,
}

/// <param name="Text">Without what ends it and without spaces around.</param>
/// <param name="Ids">All token ids generated, the stop token included.</param>
public sealed record TaskAnswer(string Text, IReadOnlyList<int> Ids, PicturesResolved Pictures, AnswerFinished Finished);

/// <param name="Index">Place among the labels of the request.</param>
public sealed record ScoredLabel(string Label, int Index, double Score);

/// <param name="Labels">Best first; equals in the order of the request.</param>
/// <param name="Ranking">What they were computed from, in the order of the request.</param>
public sealed record Classification(IReadOnlyList<ScoredLabel> Labels, FlamingoRanking Ranking);
