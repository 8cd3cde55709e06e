namespace Flamingo.Abstractions;

/// <summary>
/// Common tasks, prompted with the templates that the checkpoint was trained on. They are implemented with the calls of
/// <see cref="IFlamingo"/>.
/// </summary>
public interface ITasks
{
    /// <exception cref="FlamingoException">
    /// As <see cref="IFlamingo.GenerateAsync"/>; InvalidArgument also if the checkpoint has no template for the task.
    /// </exception>
    Task<TaskAnswer> CaptionAsync(CaptionTask task, CancellationToken cancellation = default);

    /// <inheritdoc cref="CaptionAsync"/>
    Task<TaskAnswer> AnswerAsync(AnswerTask task, CancellationToken cancellation = default);

    /// <inheritdoc cref="CaptionAsync"/>
    Task<Classification> ClassifyAsync(ClassifyTask task, CancellationToken cancellation = default);

    /// <summary>Streams the model's next reply in a conversation, as the events of <see cref="IFlamingo.GenerateAsync"/>.</summary>
    /// <inheritdoc cref="CaptionAsync"/>
    IAsyncEnumerable<AnswerEvent> ChatAsync(ChatTask task, CancellationToken cancellation = default);
}

/// <summary>The input that all tasks share: a picture, and examples that precede it.</summary>
public sealed record TaskPrompt(FlamingoVisual Visual)
{
    /// <inheritdoc cref="TenantName"/>
    public string Tenant { get; init; } = TenantName.Default;

    /// <summary>Examples in the order of the prompt; they follow the examples of a support set.</summary>
    public IReadOnlyList<TaskExample> Examples { get; init; } = [];

    /// <summary>
    /// A support set whose texts are complete examples, for example "Output:a dog". It can only be used with templates that begin
    /// with the picture.
    /// </summary>
    public SupportSetChoice? SupportSet { get; init; }

    /// <summary>
    /// Whether the checkpoint's own examples without pictures go first. Null includes them only if there are no other examples.
    /// </summary>
    public bool? ZeroShot { get; init; }

    /// <inheritdoc cref="FlamingoRequest.PinPrefix"/>
    public TimeSpan? PinPrefix { get; init; }
}

/// <param name="Visual">The picture; null for an example that consists only of text.</param>
/// <param name="Question">The question of an <see cref="AnswerTask"/>; empty for other tasks.</param>
/// <param name="Answer">The caption, the answer or the label.</param>
public sealed record TaskExample(FlamingoVisual? Visual, string Question, string Answer);

public sealed record CaptionTask(TaskPrompt Prompt, SamplingParameters Sampling);

public sealed record AnswerTask(TaskPrompt Prompt, string Question, SamplingParameters Sampling);

/// <param name="Labels">1 to <see cref="LanguageModelDescription.MaxCandidates"/> labels, none of them empty or repeated.</param>
public sealed record ClassifyTask(TaskPrompt Prompt, IReadOnlyList<string> Labels)
{
    public LabelScoring Scoring { get; init; } = LabelScoring.Mean;

    /// <inheritdoc cref="FlamingoRankRequest.Ensemble"/>
    public Ensemble? Ensemble { get; init; }
}

/// <param name="Visuals">Any number of pictures; the template defines their place in the turn.</param>
/// <param name="Text">The user's text; it may be empty if the turn has a picture.</param>
/// <param name="Reply">The model's streamed reply, unchanged. It is null in the last turn, which the model answers, and only in
/// that turn.</param>
public sealed record ChatTurn(IReadOnlyList<FlamingoVisual> Visuals, string Text, string? Reply = null);

/// <param name="Turns">At least one turn, in order.</param>
public sealed record ChatTask(IReadOnlyList<ChatTurn> Turns, SamplingParameters Sampling)
{
    /// <inheritdoc cref="TenantName"/>
    public string Tenant { get; init; } = TenantName.Default;

    /// <inheritdoc cref="FlamingoRequest.PinPrefix"/>
    public TimeSpan? PinPrefix { get; init; }

    /// <inheritdoc cref="FlamingoRequest.Attention"/>
    public AttentionChoice? Attention { get; init; }
}

/// <summary>How a label's score is computed.</summary>
public enum LabelScoring
{
    /// <summary>Mean log-likelihood per token, so that long labels are not at a disadvantage.</summary>
    Mean = 1,

    /// <summary>Log-likelihood of the whole label.</summary>
    Sum = 2,
}

/// <param name="Text">The answer without the text that ends it and without surrounding spaces.</param>
/// <param name="Ids">All token ids generated, the stop token included.</param>
public sealed record TaskAnswer(string Text, IReadOnlyList<int> Ids, PicturesResolved Pictures, AnswerFinished Finished);

/// <param name="Index">Index among the labels of the request, 0-based.</param>
public sealed record ScoredLabel(string Label, int Index, double Score);

/// <param name="Labels">Labels by falling score; labels with equal scores are in the order of the request.</param>
/// <param name="Ranking">The log-likelihoods that the scores were computed from, in the order of the request.</param>
public sealed record Classification(IReadOnlyList<ScoredLabel> Labels, FlamingoRanking Ranking);
