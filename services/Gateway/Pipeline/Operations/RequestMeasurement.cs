using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Flamingo.Abstractions;

namespace Flamingo.Gateway.Operations;

/// <summary>Names of the operations of requests, for <c>gen_ai.operation.name</c>.</summary>
internal static class RequestOperation
{
    public const string Generate = "generate_content", Rank = "rank", Encode = "embeddings";
}

/// <summary>What is known of one request so far. It is reported when it is disposed, once.</summary>
/// <param name="withTexts">Whether the span holds the texts of prompt and answer.</param>
internal sealed class RequestMeasurement(
    RequestTelemetry telemetry, string operation, string tenant, Activity? span, bool withTexts, TimeProvider time)
    : IDisposable
{
    private readonly StringBuilder? _answer = withTexts && span is { IsAllDataRequested: true } ? new StringBuilder() : null;
    private readonly long _arrived = time.GetTimestamp();
    private long _first, _last;

    public string Operation => operation;

    public string Tenant => tenant;

    /// <summary>The model that serves the request; null if the request ended before it was known.</summary>
    public FlamingoModel? Model { get; private set; }

    public long TextTokens { get; private set; }

    public long CachedTextTokens { get; private set; }

    public long ImageTokens { get; private set; }

    public long CachedImageTokens { get; private set; }

    public long GeneratedTokens { get; private set; }

    /// <summary>Kind of the failure; null if the request succeeded.</summary>
    public string? Error { get; private set; }

    public TimeSpan Elapsed { get; private set; }

    public TimeSpan? FirstToken => _first == 0 ? null : time.GetElapsedTime(_arrived, _first);

    /// <summary>Mean time from one token to the next; null for fewer than two tokens.</summary>
    public TimeSpan? TokenTime => GeneratedTokens < 2 ? null : time.GetElapsedTime(_first, _last) / (GeneratedTokens - 1);

    public void Serve(FlamingoModel model)
    {
        Model = model;
        if (span is null) return;
        span.DisplayName = $"{operation} {model.Language.ModelId}";
        span.SetTag("gen_ai.request.model", model.Language.ModelId).SetTag("gen_ai.response.model", model.Language.ModelId);
    }

    /// <summary>Notes the prompt, which is kept only if the operator has asked for texts.</summary>
    public void Ask(IReadOnlyList<FlamingoSegment> segments)
    {
        if (_answer is not null) span!.SetTag("gen_ai.input.messages", Message("user", [.. segments.Select(Part)]));
    }

    /// <summary>Notes an event of a streamed answer.</summary>
    public void See(AnswerEvent item)
    {
        if (item is AnswerTokens tokens)
        {
            if (_first == 0) _first = time.GetTimestamp();
            if (tokens.Sample == 0) _answer?.Append(tokens.Text);
        }
        else if (item is PicturesResolved resolved)
        {
            CountPictures(resolved.Pictures);
        }
        else if (item is AnswerFinished end)
        {
            _last = time.GetTimestamp();
            CountTokens(end.PromptTokens, end.CachedTokens);
            GeneratedTokens = end.GeneratedTokens;
            span?.SetTag("gen_ai.response.finish_reasons", FinishReasons(end));
        }
    }

    public void CountPictures(IReadOnlyCollection<PictureReport> pictures)
    {
        var latents = Model!.Language.Latents;
        ImageTokens = (long)pictures.Count * latents;
        CachedImageTokens = (long)pictures.Count(picture => picture.Source != PictureSource.Encoded) * latents;
    }

    /// <param name="prompt">Tokens of the prompt, one for each picture included.</param>
    public void CountTokens(int prompt, int cached)
    {
        TextTokens = Math.Max(0, prompt - (ImageTokens / Model!.Language.Latents));
        CachedTextTokens = Math.Min(cached, TextTokens);
    }

    public void Fail(Exception exception) => Error = exception switch
    {
        FlamingoException flamingo => Word(flamingo.Kind),
        OperationCanceledException => "cancelled",
        _ => "internal",
    };

    public void Dispose()
    {
        Elapsed = time.GetElapsedTime(_arrived);
        telemetry.Record(this);
        if (span is null) return;
        if (Error is not null) span.SetTag("error.type", Error).SetStatus(ActivityStatusCode.Error);
        if (ImageTokens + TextTokens > 0)
            span.SetTag("gen_ai.usage.input_tokens", ImageTokens + TextTokens)
                .SetTag("gen_ai.usage.cache_read.input_tokens", CachedImageTokens + CachedTextTokens)
                .SetTag("gen_ai.usage.image.input_tokens", ImageTokens)
                .SetTag("gen_ai.usage.image.cache_read.input_tokens", CachedImageTokens);
        if (_answer?.Length > 0) span.SetTag("gen_ai.output.messages", Message("assistant", [TextPart($"{_answer}")]));
        if (GeneratedTokens > 0) span.SetTag("gen_ai.usage.output_tokens", GeneratedTokens);
        span.Dispose();
    }

    private static Dictionary<string, string> Part(FlamingoSegment segment) => segment switch
    {
        FlamingoText text => TextPart(text.Text),
        FlamingoPictureId picture => new() { ["type"] = "picture", ["id"] = picture.Id },
        _ => new() { ["type"] = "picture" },
    };

    private static Dictionary<string, string> TextPart(string text) => new() { ["type"] = "text", ["content"] = text };

    private static string Message(string role, IReadOnlyList<Dictionary<string, string>> parts) =>
        JsonSerializer.Serialize(new[] { new { role, parts } });

    private static string[] FinishReasons(AnswerFinished end) =>
        [.. end.Samples.Select(sample => sample.Reason).DefaultIfEmpty(end.Reason).Select(reason => $"{reason}".ToLowerInvariant())];

    // invalid_argument for InvalidArgument, as gRPC writes it.
    private static string Word(FlamingoErrorKind kind) =>
        string.Concat($"{kind}".Select((letter, index) => char.IsAsciiLetterUpper(letter)
            ? (index > 0 ? "_" : "") + char.ToLowerInvariant(letter) : $"{letter}"));
}
