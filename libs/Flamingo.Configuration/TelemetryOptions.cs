using System.ComponentModel.DataAnnotations;

namespace Flamingo.Configuration;

/// <summary>What a process tells its operators; section <c>Telemetry</c>.</summary>
public sealed class TelemetryOptions
{
    public const string Section = "Telemetry";

    /// <summary>Values of <see cref="LogFormat"/>.</summary>
    public const string TextLogs = "text", JsonLogs = "json";

    /// <summary>
    /// Whether the language model's metrics are exported a second time under the names of vLLM, so that dashboards, autoscalers and
    /// benchmarks that were written for vLLM work.
    /// </summary>
    public bool VllmNames { get; set; } = true;

    /// <summary>
    /// Whether metrics and spans of requests name the tenant. Every tenant then has its own series, of which the SDK keeps at most 2000 for
    /// each metric.
    /// </summary>
    public bool Tenants { get; set; }

    /// <summary>
    /// Whether the spans of requests hold the texts of prompts and answers. Pictures are never in them. Whoever reads the traces then reads
    /// what callers wrote.
    /// </summary>
    public bool Prompts { get; set; }

    /// <summary>How lines of the log are written: text, or json with one object a line.</summary>
    [AllowedValues(TextLogs, JsonLogs)]
    public string LogFormat { get; set; } = TextLogs;
}
