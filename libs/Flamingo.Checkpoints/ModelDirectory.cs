using System.Text.Json;
using System.Text.Json.Serialization;

namespace Flamingo.Checkpoints;

/// <summary>A damaged, incomplete or unreadable checkpoint; the message is one report of everything wrong.</summary>
public sealed class CheckpointException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>A model directory on disk: <c>flamingo.json</c>, three safetensors files, <c>tokenizer.json</c>.</summary>
public sealed class ModelDirectory
{
    public const string ConfigFile = "flamingo.json";
    public const string TokenizerFile = "tokenizer.json";
    private const int MostFaults = 100;

    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        RespectNullableAnnotations = true,
        AllowDuplicateProperties = false,
        WriteIndented = true,
        NewLine = "\n",
    };

    private ModelDirectory(string path, ModelConfig config) => (Path, Config) = (path, config);

    public string Path { get; }

    public ModelConfig Config { get; }

    public string TokenizerPath => System.IO.Path.Combine(Path, TokenizerFile);

    /// <exception cref="CheckpointException">No such directory, no flamingo.json, or one that does not parse.</exception>
    public static ModelDirectory Open(string path)
    {
        var file = System.IO.Path.Combine(path, ConfigFile);
        if (!File.Exists(file))
            throw new CheckpointException($"{path} is not a model directory: it has no {ConfigFile}. Make one with 'flamingo import'.");
        try
        {
            var config = JsonSerializer.Deserialize<ModelConfig>(TextFile.ReadJson(file).Span, Json)
                ?? throw new JsonException("the file is empty");
            if (config.FormatVersion != ModelConfig.CurrentFormatVersion)
                throw new CheckpointException($"{file} has format_version {config.FormatVersion}; this build reads "
                    + $"{ModelConfig.CurrentFormatVersion}. Import the checkpoint again.");
            ThrowIfFaulty(file, config);
            // Early imports did not write this value. For IDEFICS it is the end of text, which is the first of the stop ids.
            if (config.Provenance.Layout == "idefics" && config.Tokens.HidesPictures is null)
                config = config with { Tokens = config.Tokens with { HidesPictures = [.. config.Tokens.Stop.Take(1)] } };
            return new ModelDirectory(path, config);
        }
        catch (JsonException exception)
        {
            throw new CheckpointException($"{file} is damaged: {JsonProblem.Describe(exception)}", exception);
        }
    }

    /// <summary>Maps one stage's weights after comparing size and header hash with flamingo.json.</summary>
    /// <param name="part">vision, resampler or language.</param>
    /// <exception cref="CheckpointException">Missing, truncated or exchanged file.</exception>
    public SafetensorsFile OpenWeights(string part)
    {
        if (!Config.Weights.TryGetValue(part, out var weights))
            throw new CheckpointException($"{ConfigFile} in {Path} names no '{part}' weights.");
        var file = System.IO.Path.Combine(Path, weights.File);
        if (!File.Exists(file)) throw new CheckpointException($"{file} is missing.");
        var length = TextFile.Length(file);
        if (length != weights.Bytes)
            throw new CheckpointException(
                $"{file} has {length} bytes where {ConfigFile} says {weights.Bytes}: the copy is incomplete or from another import.");
        var opened = SafetensorsFile.Open(file);
        if (opened.HeaderSha256 == weights.HeaderSha256) return opened;
        opened.Dispose();
        throw new CheckpointException($"{file} has another header than {ConfigFile} says: it is from another import.");
    }

    /// <exception cref="CheckpointException">A size, number or token that no model has; all of them in one report.</exception>
    public static void ThrowIfFaulty(string file, ModelConfig config)
    {
        if (ModelConfigRules.Faults(config) is { Count: > 0 } faults)
            throw new CheckpointException($"{file} does not describe a model: {string.Join("; ", faults.Distinct().Take(MostFaults))}.");
    }

    public static void WriteConfig(string path, ModelConfig config) =>
        File.WriteAllText(System.IO.Path.Combine(path, ConfigFile), JsonSerializer.Serialize(config, Json) + "\n");
}
