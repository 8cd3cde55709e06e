using System.Text.Json;

namespace Flamingo.Import.Sources;

/// <summary>
/// Reads the settings of rotary positions. Old configurations have them at the top of config.json; transformers 5 writes them into
/// <c>rope_parameters</c>.
/// </summary>
internal static class RotaryPositions
{
    /// <summary>Keys at the top of config.json, for a <see cref="ConfigKeys"/>.</summary>
    public const string Keys = "rope_theta rope_scaling rope_parameters partial_rotary_factor";

    private static readonly ConfigKeys Nested =
        new("rope_theta partial_rotary_factor", "", ("rope_type", ["default"]), ("type", ["default"]));

    /// <summary>Reads the base of the rotary frequencies; 10,000 if no key gives it.</summary>
    /// <param name="config">The content of config.json.</param>
    /// <param name="name">The name that the family gives the base, besides rope_theta.</param>
    public static double Base(JsonElement config, string name = "rope_theta") => Value(config, name, "rope_theta") ?? 10000;

    /// <summary>Reads the fraction of each head that is rotated.</summary>
    /// <param name="config">The content of config.json.</param>
    /// <param name="otherwise">The fraction if no key gives it.</param>
    /// <param name="name">The name that the family gives the fraction, besides partial_rotary_factor.</param>
    public static double Fraction(JsonElement config, double otherwise, string name = "partial_rotary_factor") =>
        Value(config, name, "partial_rotary_factor") ?? otherwise;

    /// <summary>Reports scaled positions, and values of one setting that contradict each other, as faults.</summary>
    public static void Check(JsonElement config, string file, ImportReport report, params ReadOnlySpan<(string Name, string General)> names)
    {
        foreach (var nested in new[] { "rope_scaling", "rope_parameters" })
            if (config.Member(nested) is { } element) Nested.Check(element, file, report, $"{nested}.");
        foreach (var (name, general) in names)
        {
            if (Values(config, name, general).Distinct().ToList() is { Count: > 1 } values)
                report.Faults.Add($"unsupported: {name} or {general} is {string.Join(" in one place and ", values)} in another, in "
                    + $"{file}; this build computes one");
        }
    }

    private static double? Value(JsonElement config, string name, string general) =>
        Values(config, name, general) is [var first, ..] ? first : null;

    private static List<double> Values(JsonElement config, string name, string general) =>
        [.. new[] { config.Member(name), config.Member(general), config.Member("rope_parameters")?.Member(general),
            config.Member("rope_scaling")?.Member(general) }
            .OfType<JsonElement>().Where(value => value.ValueKind == JsonValueKind.Number).Select(value => value.GetDouble())];
}
