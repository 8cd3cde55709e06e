using System.ComponentModel.DataAnnotations;

namespace Flamingo.ServiceDefaults;

/// <summary>When a process counts as stuck; section <c>Health</c>.</summary>
public sealed class HealthOptions
{
    public const string Section = "Health";

    /// <summary>
    /// How long one unit of work may take, for example a step of the engine, until the process is not live any more. The longest legal
    /// unit is a prefill chunk or a forward pass of a large model on few processors, which takes tens of seconds.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "1.00:00:00")]
    public TimeSpan LiveTimeout { get; set; } = TimeSpan.FromMinutes(2);

    /// <summary>How long one unit of work may take until the process ends, so that its supervisor starts another.</summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "1.00:00:00")]
    public TimeSpan ExitTimeout { get; set; } = TimeSpan.FromMinutes(5);
}
