using System.Text.Json;
using Flamingo.Checkpoints;

namespace Flamingo.Import.Sources;

internal static class ConfigJson
{
    /// <exception cref="CheckpointException">Missing or damaged.</exception>
    public static JsonDocument Open(string file)
    {
        if (!File.Exists(file)) throw new CheckpointException($"{file} is missing; download it beside the weights.");
        try
        {
            return JsonDocument.Parse(File.ReadAllBytes(file));
        }
        catch (JsonException exception)
        {
            throw new CheckpointException($"{file} is damaged: {exception.Message}", exception);
        }
    }

    /// <summary>The member, or null where it is missing or null.</summary>
    public static JsonElement? Member(this JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    public static int Integer(this JsonElement element, string name, int otherwise) => element.Member(name)?.GetInt32() ?? otherwise;

    public static double Number(this JsonElement element, string name, double otherwise) => element.Member(name)?.GetDouble() ?? otherwise;

    public static bool Flag(this JsonElement element, string name, bool otherwise) => element.Member(name)?.GetBoolean() ?? otherwise;

    /// <exception cref="CheckpointException">Another value: a variant that this build would compute wrongly.</exception>
    public static void Require(this JsonElement element, string name, string only, string file)
    {
        if (element.Member(name) is { } value && value.ToString() != only) throw new CheckpointException($"{file}: {name} is {value}; this build computes {only}.");
    }
}
