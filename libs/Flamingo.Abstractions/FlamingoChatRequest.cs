namespace Flamingo.Abstractions;

/// <summary>What a conversation asks for besides its messages. Its defaults let the checkpoint and the messages decide.</summary>
public sealed record FlamingoChatRequest
{
    public SamplingParameters Sampling { get; init; } = new();

    /// <summary>The template of all turns; null lets each turn choose its own.</summary>
    public ChatPromptTask? Task { get; init; }

    /// <summary>
    /// Whether the checkpoint's own examples without pictures go first. Null includes them only if there are no other examples.
    /// </summary>
    public bool? ZeroShot { get; init; }

    /// <summary>A support set whose texts are complete examples, for example "Output:a dog".</summary>
    public SupportSetChoice? SupportSet { get; init; }

    /// <inheritdoc cref="FlamingoRequest.PinPrefix"/>
    public TimeSpan? PinPrefix { get; init; }

    /// <inheritdoc cref="FlamingoRequest.Attention"/>
    public AttentionChoice? Attention { get; init; }

    /// <inheritdoc cref="TenantName"/>
    public string Tenant { get; init; } = TenantName.Default;
}

/// <summary>How the turns of a conversation become a prompt.</summary>
public enum ChatPromptTask
{
    /// <summary>Every turn asks for a caption of its pictures.</summary>
    Caption = 1,

    /// <summary>Every turn asks a question.</summary>
    Answer = 2,

    /// <summary>All parts of all messages are joined as they are, without a template.</summary>
    Raw = 3,
}
