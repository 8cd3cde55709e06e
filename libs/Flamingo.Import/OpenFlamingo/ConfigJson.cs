using System.Text.Json;
using Flamingo.Checkpoints;

namespace Flamingo.Import.OpenFlamingo;

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
}
