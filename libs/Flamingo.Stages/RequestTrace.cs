using System.Diagnostics;

namespace Flamingo.Stages;

/// <summary>
/// The trace that a request belongs to. Threads that work for several requests at once, such as the engine's loop, carry it in order to
/// write spans and log lines of a request.
/// </summary>
/// <param name="Context">The span under which the request's steps belong; default if the request has no trace.</param>
public readonly record struct RequestTrace(ActivityContext Context)
{
    /// <summary>The trace of the code that runs now.</summary>
    public static RequestTrace Current => new(Activity.Current?.Context ?? default);

    /// <summary>The trace id, 32 hexadecimal characters; null if there is no trace.</summary>
    public string? Id => Context.TraceId == default ? null : Context.TraceId.ToString();

    /// <summary>A scope for loggers whose lines then carry the ids of this request; null if there is no trace.</summary>
    public IReadOnlyList<KeyValuePair<string, object?>>? LogScope => Id is not { } id ? null
        : [new("TraceId", id), new("SpanId", Context.SpanId.ToString())];

    /// <summary>Writes a span of a step that is over.</summary>
    /// <param name="begun">Timestamps of <paramref name="time"/>; the span is left out if one is 0, because that step was not
    /// reached.</param>
    /// <param name="tags">Called only if the span is recorded.</param>
    public void Write(
        ActivitySource source, string step, long begun, long ended, TimeProvider time, Action<Activity>? tags = null)
    {
        if (Context == default || begun == 0 || ended == 0 || !source.HasListeners()) return;
        var now = time.GetUtcNow();
        using var span = source.StartActivity(step, ActivityKind.Internal, Context, startTime: now - time.GetElapsedTime(begun));
        if (span is null) return;
        tags?.Invoke(span);
        span.SetEndTime((now - time.GetElapsedTime(ended)).UtcDateTime);
    }

    /// <summary>
    /// Begins the span of a batch, which belongs to no request and links to those that ride in it. Null if none of them is traced.
    /// </summary>
    public static Activity? BeginBatch(ActivitySource source, string name, IEnumerable<RequestTrace> requests)
    {
        if (!source.HasListeners()) return null;
        var links = requests.Where(request => request.Context != default).Distinct().Select(request => new ActivityLink(request.Context))
            .ToList();
        if (links.Count == 0) return null;
        var around = Activity.Current;
        Activity.Current = null; // otherwise the batch would belong to the request on whose thread it happens to run
        try
        {
            return source.StartActivity(name, ActivityKind.Internal, default(ActivityContext), links: links);
        }
        finally
        {
            Activity.Current = around;
        }
    }
}
