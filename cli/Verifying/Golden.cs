using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using Flamingo.Checkpoints;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Verifying;

/// <summary>What the original code answered to one prompt. Members that this build does not know are kept by name, so that they can be reported as skipped.</summary>
public sealed partial record GoldenPrompt
{
    public required string Name { get; init; }

    public required IReadOnlyList<GoldenSegment> Segments { get; init; }

    public required IReadOnlyList<int> Ids { get; init; }

    public GoldenAnswer? Greedy { get; init; }

    public IReadOnlyList<GoldenCandidate>? Rank { get; init; }

    [JsonExtensionData]
    public Dictionary<string, JsonElement> Others { get; init; } = [];

    /// <summary>Members such as <c>beam3_length_penalty_0</c>, by their names.</summary>
    [JsonIgnore]
    public IReadOnlyDictionary<string, GoldenBeams> Beams => Others
        .Select(member => (member.Key, Name: BeamName().Match(member.Key), member.Value))
        .Where(member => member.Name.Success)
        .ToDictionary(member => member.Key, member => new GoldenBeams(
            int.Parse(member.Name.Groups[1].ValueSpan, CultureInfo.InvariantCulture), float.Parse(member.Name.Groups[2].ValueSpan, CultureInfo.InvariantCulture),
            member.Value.Deserialize<GoldenBeam>(Golden.Json) ?? throw new JsonException($"{member.Key} is empty")));

    [GeneratedRegex(@"^beam(\d{1,4})_length_penalty_(-?\d{1,4}(?:\.\d{1,4})?)$")]
    private static partial Regex BeamName();
}

/// <param name="Picture">Index into <c>pictures</c>.</param>
public sealed record GoldenSegment(string? Text, int? Picture);

public sealed record GoldenAnswer(IReadOnlyList<int> Ids, string? Text);

/// <param name="Score">As transformers gives it.</param>
public sealed record GoldenBeam(IReadOnlyList<int> Ids, double Score);

public sealed record GoldenBeams(int Count, float LengthPenalty, GoldenBeam Best);

/// <param name="TokenLogLikelihoods">Natural logarithm, one per id.</param>
public sealed record GoldenCandidate(string Text, IReadOnlyList<int> Ids, IReadOnlyList<double> TokenLogLikelihoods);

/// <summary>A <c>golden.json</c>/<c>golden.safetensors</c> pair.</summary>
public sealed class Golden : IDisposable
{
    internal static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, RespectNullableAnnotations = true };

    private sealed record Content(IReadOnlyList<string>? Pictures, IReadOnlyList<GoldenPrompt>? Prompts);

    private Golden(IReadOnlyList<string> pictures, IReadOnlyList<GoldenPrompt> prompts, SafetensorsFile tensors) =>
        (Pictures, Prompts, Tensors) = (pictures, prompts, tensors);

    /// <summary>File names, in the order of the first dimension of <c>pixels</c>, <c>features</c> and <c>latents</c>.</summary>
    public IReadOnlyList<string> Pictures { get; }

    public IReadOnlyList<GoldenPrompt> Prompts { get; }

    public SafetensorsFile Tensors { get; }

    /// <exception cref="UsageException">One of the two is missing or malformed.</exception>
    public static Golden Open(string directory)
    {
        var (json, tensors) = (Path.Combine(directory, "golden.json"), Path.Combine(directory, "golden.safetensors"));
        var missing = new[] { json, tensors }.Where(file => !File.Exists(file)).ToArray();
        if (missing.Length > 0) throw new UsageException([.. missing.Select(file => $"{file} does not exist. --golden names a folder with golden.json and golden.safetensors.")]);
        try
        {
            var content = JsonSerializer.Deserialize<Content>(TextFile.ReadJson(json).Span, Json) ?? throw new JsonException("the file is empty");
            var (pictures, prompts) = (content.Pictures ?? [], content.Prompts ?? []);
            var lost = prompts.Where(prompt => prompt.Segments.Any(segment => segment.Picture is < 0 || segment.Picture >= pictures.Count || segment.Picture is null == segment.Text is null)).ToArray();
            _ = prompts.Select(prompt => prompt.Beams).ToArray(); // malformed ones are found here, and not in mid-report
            if (lost.Length > 0) throw new UsageException($"{json}: prompt '{lost[0].Name}' has a segment that is neither a text nor the index of one of {pictures.Count} pictures.");
            return new Golden(pictures, prompts, SafetensorsFile.Open(tensors));
        }
        catch (Exception exception) when (exception is JsonException or CheckpointException)
        {
            var problem = exception is JsonException malformed ? JsonProblem.Describe(malformed) : exception.Message;
            throw new UsageException($"{json} and golden.safetensors cannot be read: {problem}");
        }
    }

    public void Dispose() => Tensors.Dispose();
}
