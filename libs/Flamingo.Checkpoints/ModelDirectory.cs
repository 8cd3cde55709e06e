using System.Text.Json;
using System.Text.Json.Serialization;

namespace Flamingo.Checkpoints;

/// <summary>Thrown for a damaged, incomplete or unreadable checkpoint. The message lists all faults that were found.</summary>
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

    /// <summary>The same directory, with another treatment of EXIF orientations.</summary>
    /// <param name="orientation"><c>exif</c> turns pictures upright; <c>ignore</c> takes them as they lie, as the original code
    /// does.</param>
    public ModelDirectory WithOrientation(string orientation) => new(Path, Config with
    {
        Vision = Config.Vision with { Preprocessing = Config.Vision.Preprocessing with { Orientation = orientation } },
    });

    public string TokenizerPath => System.IO.Path.Combine(Path, TokenizerFile);

    /// <exception cref="CheckpointException">The directory or its flamingo.json is missing, or the file is not valid.</exception>
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
            // Early imports did not write HidesPictures. In their files, the end of text of IDEFICS is the first id of Stop.
            if (config.Provenance.Layout == "idefics" && config.Tokens.HidesPictures is null)
                config = config with { Tokens = config.Tokens with { HidesPictures = [.. config.Tokens.Stop.Take(1)] } };
            return new ModelDirectory(path, config);
        }
        catch (JsonException exception)
        {
            throw new CheckpointException($"{file} is damaged: {JsonProblem.Describe(exception)}", exception);
        }
    }

    /// <summary>Maps the weights of one part into memory, after comparing size and header hash with flamingo.json.</summary>
    /// <param name="part">Name of the part: vision, resampler or language.</param>
    /// <exception cref="CheckpointException">The file is missing, truncated, or from another import.</exception>
    public SafetensorsFile OpenWeights(string part)
    {
        if (!Config.Weights.TryGetValue(part, out var weights))
            throw new CheckpointException($"{ConfigFile} in {Path} names no '{part}' weights.");
        var file = System.IO.Path.Combine(Path, weights.File);
        if (!File.Exists(file)) throw new CheckpointException($"{file} is missing.");
        var length = TextFile.Length(file);
        if (length != weights.Bytes)
            throw new CheckpointException($"{file} has {length} bytes where {ConfigFile} says {weights.Bytes}: the copy is incomplete or "
                + "from another import.");
        var opened = SafetensorsFile.Open(file);
        if (opened.HeaderSha256 == weights.HeaderSha256) return opened;
        opened.Dispose();
        throw new CheckpointException($"{file} has another header than {ConfigFile} says: it is from another import.");
    }

    /// <summary>Checks the sizes, numbers and tokens of a configuration.</summary>
    /// <param name="file">Name of the file, for the message.</param>
    /// <param name="config">The configuration to check.</param>
    /// <exception cref="CheckpointException">A value is out of range. The message lists all faults, up to a limit.</exception>
    public static void ThrowIfFaulty(string file, ModelConfig config)
    {
        if (ModelConfigRules.Faults(config) is { Count: > 0 } faults)
            throw new CheckpointException($"{file} does not describe a model: {string.Join("; ", faults.Distinct().Take(MostFaults))}.");
    }

    public static void WriteConfig(string path, ModelConfig config) =>
        File.WriteAllText(System.IO.Path.Combine(path, ConfigFile), JsonSerializer.Serialize(config, Json) + "\n");
}
