namespace Flamingo.Abstractions;

/// <summary>Every way in which a stage can refuse or fail; closed, and mapped to gRPC status in one place.</summary>
public enum FlamingoErrorKind
{
    /// <summary>The caller's input is wrong; <see cref="FlamingoException.Faults"/> names each field and the remedy.</summary>
    InvalidArgument,

    /// <summary>
    /// A picture id or support set that is not there; <see cref="FlamingoException.Missing"/> lists the ids to send again as bytes.
    /// </summary>
    NotFound,

    /// <summary>
    /// The language model does not hold latents it was believed to hold; <see cref="FlamingoException.Missing"/> lists their keys.
    /// </summary>
    LatentsMissing,

    /// <summary>Too many requests; <see cref="FlamingoException.RetryAfter"/> says when to return.</summary>
    Overloaded,

    /// <summary>A stage cannot be reached or died in mid-answer.</summary>
    Unavailable,

    /// <summary>Stages that do not fit together.</summary>
    Mismatch,

    /// <summary>What the caller changes was changed by another since.</summary>
    Conflict,

    /// <summary>The model produced something unusable for this request, non-finite logits for example.</summary>
    Internal,

    /// <summary>The caller's deadline passed.</summary>
    DeadlineExceeded,

    /// <summary>The caller went away.</summary>
    Cancelled,
}

/// <summary>One thing wrong with a request.</summary>
/// <param name="Field">Path of the field, for example <c>segments[2].text</c> or <c>sampling.top_p</c>.</param>
/// <param name="Problem">What is wrong, one sentence.</param>
/// <param name="Remedy">What to send instead, one sentence.</param>
public sealed record FieldFault(string Field, string Problem, string Remedy)
{
    public override string ToString() => $"{Field}: {Problem} {Remedy}";
}

/// <summary>The only exception that crosses a stage's border on purpose.</summary>
public sealed class FlamingoException : Exception
{
    /// <summary>Kinds of <see cref="MissingResource"/>.</summary>
    public const string Picture = "picture", SupportSet = "support set";

    public FlamingoException(FlamingoErrorKind kind, string message, Exception? inner = null)
        : base(message, inner) => Kind = kind;

    public FlamingoErrorKind Kind { get; }

    /// <summary>For InvalidArgument: all faults at once.</summary>
    public IReadOnlyList<FieldFault> Faults { get; init; } = [];

    /// <summary>For NotFound and LatentsMissing: picture ids, names of support sets, or latent keys.</summary>
    public IReadOnlyList<string> Missing { get; init; } = [];

    /// <summary>What <see cref="Missing"/> lists: pictures, unless it says otherwise.</summary>
    public string MissingResource { get; init; } = Picture;

    /// <summary>For Overloaded: how long to wait before trying again.</summary>
    public TimeSpan? RetryAfter { get; init; }

    public static FlamingoException Invalid(string field, string problem, string remedy) =>
        Invalid([new FieldFault(field, problem, remedy)]);

    public static FlamingoException Invalid(IReadOnlyList<FieldFault> faults) =>
        new(FlamingoErrorKind.InvalidArgument, string.Join(' ', faults)) { Faults = faults };
}
