using System.Text.Json;

namespace Flamingo.Import.Sources;

/// <summary>
/// Rotary positions as configurations of different ages write them: by keys of their own, or since transformers 5 in
/// <c>rope_parameters</c>.
/// </summary>
internal static class RotaryPositions
{
    /// <summary>Keys at the top, for a <see cref="ConfigKeys"/>.</summary>
    public const string Keys = "rope_theta rope_scaling rope_parameters partial_rotary_factor";

    private static readonly ConfigKeys Nested =
        new("rope_theta partial_rotary_factor", "", ("rope_type", ["default"]), ("type", ["default"]));

    /// <param name="name">The family's own name of the base, besides rope_theta.</param>
    public static double Base(JsonElement config, string name = "rope_theta") => Value(config, name, "rope_theta") ?? 10000;

    /// <param name="name">The family's own name of the rotated fraction of a head, besides partial_rotary_factor.</param>
    public static double Fraction(JsonElement config, double otherwise, string name = "partial_rotary_factor") =>
        Value(config, name, "partial_rotary_factor") ?? otherwise;

    /// <summary>Refuses scaled positions, and places that contradict each other.</summary>
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
