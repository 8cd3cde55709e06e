namespace Flamingo.Abstractions;

/// <summary>All kinds of failure of a stage. The list is closed, and ErrorWire maps each kind to a gRPC status.</summary>
public enum FlamingoErrorKind
{
    /// <summary>The caller's input is wrong; <see cref="FlamingoException.Faults"/> names each field and the remedy.</summary>
    InvalidArgument,

    /// <summary>
    /// A picture id or a support set does not exist; <see cref="FlamingoException.Missing"/> lists the ids to send again as bytes.
    /// </summary>
    NotFound,

    /// <summary>
    /// The request refers to latents that the language model no longer holds; <see cref="FlamingoException.Missing"/> lists their keys.
    /// </summary>
    LatentsMissing,

    /// <summary>Too many requests; <see cref="FlamingoException.RetryAfter"/> says how long to wait before a retry.</summary>
    Overloaded,

    /// <summary>A stage cannot be reached, or it failed in the middle of an answer.</summary>
    Unavailable,

    /// <summary>The stages do not fit together, for example because their widths differ.</summary>
    Mismatch,

    /// <summary>Another caller has changed the resource that this call was to change.</summary>
    Conflict,

    /// <summary>
    /// The call was given up in the middle, because something that it used changed or because its answer was not read. The same
    /// call may succeed when it is made again.
    /// </summary>
    Aborted,

    /// <summary>The caller shows no key or token, or one that does not hold.</summary>
    Unauthenticated,

    /// <summary>The caller may not make this call; the message names the option that allows it.</summary>
    PermissionDenied,

    /// <summary>The model produced an unusable result for this request, for example non-finite logits.</summary>
    Internal,

    /// <summary>The caller's deadline passed.</summary>
    DeadlineExceeded,

    /// <summary>The caller cancelled the call.</summary>
    Cancelled,
}

/// <summary>One error in one field of a request.</summary>
/// <param name="Field">Path of the field, for example <c>segments[2].text</c> or <c>sampling.top_p</c>.</param>
/// <param name="Problem">One sentence that describes the error.</param>
/// <param name="Remedy">One sentence that says what to send instead.</param>
public sealed record FieldFault(string Field, string Problem, string Remedy)
{
    public override string ToString() => $"{Field}: {Problem} {Remedy}";
}

/// <summary>The exception that stages and clients throw for every expected failure; over gRPC it becomes a status and back.</summary>
public sealed class FlamingoException : Exception
{
    /// <summary>Kinds of <see cref="MissingResource"/>.</summary>
    public const string Picture = "picture", SupportSet = "support set";

    public FlamingoException(FlamingoErrorKind kind, string message, Exception? inner = null)
        : base(message, inner) => Kind = kind;

    public FlamingoErrorKind Kind { get; }

    /// <summary>For InvalidArgument: the faults of the request, not only the first one; at most <see cref="FaultList.Most"/>.</summary>
    public IReadOnlyList<FieldFault> Faults { get; init; } = [];

    /// <summary>Number of faults that are not in <see cref="Faults"/> because there are too many.</summary>
    public int FurtherFaults { get; init; }

    /// <summary>For NotFound and LatentsMissing: picture ids, names of support sets, or latent keys.</summary>
    public IReadOnlyList<string> Missing { get; init; } = [];

    /// <summary>
    /// For NotFound and LatentsMissing: whether more is missing than a status can name. <see cref="Missing"/> then has only the first
    /// few, and all pictures of the request must be sent with their bytes or latents.
    /// </summary>
    public bool IsAnyMissing { get; init; }

    /// <summary>Kind of the resources in <see cref="Missing"/>; <see cref="Picture"/> by default.</summary>
    public string MissingResource { get; init; } = Picture;

    /// <summary>For Overloaded: how long to wait before trying again.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>
    /// Id of the trace in which the service failed, 32 hexadecimal characters, under which its operator finds the request in logs and
    /// traces; null if the service reported none.
    /// </summary>
    public string? TraceId { get; init; }

    public static FlamingoException Invalid(string field, string problem, string remedy) =>
        Invalid([new FieldFault(field, problem, remedy)]);

    /// <param name="further">Number of faults that are not listed.</param>
    public static FlamingoException Invalid(IReadOnlyList<FieldFault> faults, int further = 0) =>
        new(FlamingoErrorKind.InvalidArgument, string.Join(' ', faults) + (further == 0 ? "" : $" And {further} more faults."))
        {
            Faults = faults, FurtherFaults = further,
        };
}
