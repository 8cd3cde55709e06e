using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Flamingo.Configuration;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;

namespace Flamingo.ServiceDefaults.Logs;

/// <summary>
/// Writes each message of the log as one line, as text or as JSON (<see cref="TelemetryOptions.LogFormat"/>), with the trace id of the
/// request that it belongs to. .NET's own formatters write the trace id only among all scopes of a request, its path included.
/// </summary>
internal sealed class LogLines(IConfiguration configuration, TimeProvider time) : ConsoleFormatter(FormatterName)
{
    public const string FormatterName = "flamingo";

    private const string TraceId = "TraceId", SpanId = "SpanId", Template = "{OriginalFormat}";

    private static readonly JsonWriterOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    // The log is needed before the options are validated, all together.
    private readonly bool _json =
        new OptionSection<TelemetryOptions>(configuration, TelemetryOptions.Section).Read().LogFormat == TelemetryOptions.JsonLogs;

    public override void Write<TState>(in LogEntry<TState> logEntry, IExternalScopeProvider? scopeProvider, TextWriter textWriter)
    {
        var message = logEntry.Formatter(logEntry.State, logEntry.Exception);
        if (message is null && logEntry.Exception is null) return;
        var ids = new Ids();
        scopeProvider?.ForEachScope(static (scope, ids) => ids.Read(scope), ids);
        if (_json) WriteJson(logEntry, message, ids, textWriter);
        else WriteText(logEntry, message, ids, textWriter);
    }

    private static void WriteText<TState>(in LogEntry<TState> entry, string? message, Ids ids, TextWriter writer)
    {
        writer.Write(ShortName(entry.LogLevel));
        writer.Write(": ");
        writer.Write(entry.Category);
        writer.Write('[');
        writer.Write(entry.EventId.Id.ToString(CultureInfo.InvariantCulture));
        writer.Write("] ");
        writer.Write(OneLine(message));
        if (ids.Trace is not null) writer.Write($" (trace {ids.Trace})");
        if (entry.Exception is not null) writer.Write($" {OneLine(entry.Exception.ToString())}");
        writer.Write(Environment.NewLine);
    }

    private void WriteJson<TState>(in LogEntry<TState> entry, string? message, Ids ids, TextWriter writer)
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(buffer, Json))
        {
            json.WriteStartObject();
            json.WriteString("timestamp", time.GetUtcNow());
            json.WriteString("level", entry.LogLevel.ToString());
            json.WriteNumber("event", entry.EventId.Id);
            json.WriteString("category", entry.Category);
            json.WriteString("message", message);
            if (ids.Trace is not null) json.WriteString("trace_id", ids.Trace);
            if (ids.Span is not null) json.WriteString("span_id", ids.Span);
            if (entry.Exception is not null) json.WriteString("exception", entry.Exception.ToString());
            if (entry.State is IReadOnlyList<KeyValuePair<string, object?>> { Count: > 1 } fields) WriteFields(json, fields);
            json.WriteEndObject();
        }

        writer.Write(Encoding.UTF8.GetString(buffer.WrittenSpan));
        writer.Write(Environment.NewLine);
    }

    // The values of a message's parameters, under their names; the last one is the message's template.
    private static void WriteFields(Utf8JsonWriter json, IReadOnlyList<KeyValuePair<string, object?>> fields)
    {
        json.WriteStartObject("fields");
        foreach (var (name, value) in fields)
        {
            if (name == Template) continue;
            json.WritePropertyName(name);
            if (value is int or long or short or byte) json.WriteNumberValue(Convert.ToInt64(value, CultureInfo.InvariantCulture));
            else if (value is double number && double.IsFinite(number)) json.WriteNumberValue(number);
            else if (value is bool flag) json.WriteBooleanValue(flag);
            else json.WriteStringValue(Convert.ToString(value, CultureInfo.InvariantCulture));
        }

        json.WriteEndObject();
    }

    private static string? OneLine(string? text) => text?.ReplaceLineEndings(" ");

    private static string ShortName(LogLevel level) => level switch
    {
        LogLevel.Trace => "trce",
        LogLevel.Debug => "dbug",
        LogLevel.Information => "info",
        LogLevel.Warning => "warn",
        LogLevel.Error => "fail",
        _ => "crit",
    };

    /// <summary>The ids of the innermost scope that has some: that of the running activity, or one that names another request.</summary>
    private sealed class Ids
    {
        public string? Trace { get; private set; }

        public string? Span { get; private set; }

        public void Read(object? scope)
        {
            if (scope is not IReadOnlyList<KeyValuePair<string, object?>> values) return;
            foreach (var (name, value) in values)
            {
                if (name == TraceId) (Trace, Span) = ($"{value}", null);
            }

            foreach (var (name, value) in values)
                if (name == SpanId) Span = $"{value}";
        }
    }
}

internal static class LogLinesRegistration
{
    /// <summary>Writes the log to the console in lines of <see cref="LogLines"/>.</summary>
    public static void AddLogLines(this ILoggingBuilder logging)
    {
        logging.Configure(scopes => scopes.ActivityTrackingOptions = ActivityTrackingOptions.TraceId | ActivityTrackingOptions.SpanId);
        logging.AddConsole(console => console.FormatterName = LogLines.FormatterName);
        logging.Services.AddSingleton<ConsoleFormatter, LogLines>();
    }
}
