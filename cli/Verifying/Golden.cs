using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using Flamingo.Checkpoints;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Verifying;

/// <summary>
/// The original code's results for one prompt. Unknown members are kept by name, so that they can be reported as skipped.
/// </summary>
public sealed partial record GoldenPrompt
{
    public required string Name { get; init; }

    public required IReadOnlyList<GoldenSegment> Segments { get; init; }

    public required IReadOnlyList<int> Ids { get; init; }

    public GoldenAnswer? Greedy { get; init; }

    public IReadOnlyList<GoldenCandidate>? Rank { get; init; }

    /// <summary>For each token the picture that it attends to, counted from 1; 0 for none.</summary>
    public IReadOnlyList<int>? Sees { get; init; }

    [JsonExtensionData]
    public Dictionary<string, JsonElement> OtherMembers { get; init; } = [];

    /// <summary>The beam searches, by the names of their members, such as <c>beam3_length_penalty_0</c>.</summary>
    [JsonIgnore]
    public IReadOnlyDictionary<string, GoldenBeams> Beams => OtherMembers
        .Select(member => (member.Key, Name: BeamName().Match(member.Key), member.Value))
        .Where(member => member.Name.Success)
        .ToDictionary(member => member.Key, member => new GoldenBeams(
            int.Parse(member.Name.Groups[1].ValueSpan, CultureInfo.InvariantCulture),
            float.Parse(member.Name.Groups[2].ValueSpan, CultureInfo.InvariantCulture),
            member.Value.Deserialize<GoldenBeam>(Golden.Json) ?? throw new JsonException($"{member.Key} is empty")));

    [GeneratedRegex(@"^beam(\d{1,4})_length_penalty_(-?\d{1,4}(?:\.\d{1,4})?)$")]
    private static partial Regex BeamName();
}

/// <param name="Picture">Zero-based index into <c>pictures</c>.</param>
public sealed record GoldenSegment(string? Text, int? Picture);

public sealed record GoldenAnswer(IReadOnlyList<int> Ids, string? Text);

/// <param name="Score">The score of the beam as transformers computes it.</param>
public sealed record GoldenBeam(IReadOnlyList<int> Ids, double Score);

public sealed record GoldenBeams(int Count, float LengthPenalty, GoldenBeam Best);

/// <param name="TokenLogLikelihoods">One natural logarithm per id.</param>
public sealed record GoldenCandidate(string Text, IReadOnlyList<int> Ids, IReadOnlyList<double> TokenLogLikelihoods);

/// <summary>A pair of files with golden values: <c>golden.json</c> and <c>golden.safetensors</c>, or another pair of that format.</summary>
public sealed class Golden : IDisposable
{
    internal static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, RespectNullableAnnotations = true,
    };

    private const string MainFile = "golden.json";

    private sealed record Content(IReadOnlyList<string>? Pictures, IReadOnlyList<GoldenPrompt>? Prompts);

    private Golden(string name, Content content, IReadOnlyList<string> pictures, SafetensorsFile tensors) =>
        (Name, Pictures, NamesPictures, Prompts, Tensors) = (name, pictures, content.Pictures is not null, content.Prompts ?? [], tensors);

    /// <summary>The name of the JSON file.</summary>
    public string Name { get; }

    /// <summary>The prefix of this file's lines in the report.</summary>
    public string Prefix => Name == MainFile ? "" : $"{Name}: ";

    /// <summary>File names, in the order of the first dimension of <c>pixels</c>, <c>features</c> and <c>latents</c>.</summary>
    public IReadOnlyList<string> Pictures { get; }

    /// <summary>Whether the file lists its pictures itself; otherwise it uses the pictures of golden.json in the same folder.</summary>
    public bool NamesPictures { get; }

    public IReadOnlyList<GoldenPrompt> Prompts { get; }

    /// <summary>The golden tensors. The file may hold only logits.</summary>
    public SafetensorsFile Tensors { get; }

    /// <summary>
    /// Opens every <c>golden*.json</c> of a folder whose prompts have the format of golden.json; golden.json comes first.
    /// </summary>
    /// <param name="report">Receives a line for every file of another format, which is skipped.</param>
    /// <exception cref="UsageException">The folder holds no golden file, or a file is malformed or lacks its tensors.</exception>
    public static IReadOnlyList<Golden> OpenAll(string directory, Action<Comparison> report)
    {
        var files = Directory.GetFiles(directory, "golden*.json").OrderBy(file => Path.GetFileName(file) != MainFile)
            .ThenBy(file => file, StringComparer.Ordinal).ToList();
        if (files.Count == 0) throw new UsageException(
            $"{directory} holds no golden*.json. --golden names a folder with golden.json and golden.safetensors.");
        var goldens = new List<Golden>();
        try
        {
            foreach (var file in files)
            {
                if (Open(file, goldens.Find(golden => golden.Name == MainFile)) is { } golden) goldens.Add(golden);
                else report(new(Path.GetFileName(file), Outcome.Skipped,
                    "its prompts do not have the format of golden.json: a list of objects with name, segments and ids"));
            }

            return goldens;
        }
        catch
        {
            goldens.ForEach(golden => golden.Dispose());
            throw;
        }
    }

    public void Dispose() => Tensors.Dispose();

    private static Golden? Open(string json, Golden? main)
    {
        var tensors = Path.ChangeExtension(json, ".safetensors");
        try
        {
            using var document = JsonDocument.Parse(TextFile.ReadJson(json));
            if (!HasGoldenFormat(document.RootElement)) return null;
            if (!File.Exists(tensors)) throw new UsageException(
                $"{tensors} does not exist. --golden names a folder with golden.json and golden.safetensors.");
            var content = document.Deserialize<Content>(Json)!;
            var (pictures, prompts) = (content.Pictures ?? main?.Pictures ?? [], content.Prompts ?? []);
            var invalid = prompts.FirstOrDefault(prompt => prompt.Segments.Any(
                segment => segment.Picture is < 0 || segment.Picture >= pictures.Count || segment.Picture is null == segment.Text is null));
            _ = prompts.Select(prompt => prompt.Beams).ToArray(); // finds malformed beams before the report begins
            if (invalid is not null) throw new UsageException(
                $"{json}: prompt '{invalid.Name}' has a segment that is neither a text nor the index of one of {pictures.Count} pictures.");
            return new Golden(Path.GetFileName(json), content, pictures, SafetensorsFile.Open(tensors));
        }
        catch (Exception exception) when (exception is JsonException or CheckpointException)
        {
            var problem = exception is JsonException malformed ? JsonProblem.Describe(malformed) : exception.Message;
            throw new UsageException($"{json} and {Path.GetFileName(tensors)} cannot be read: {problem}");
        }
    }

    private static bool HasGoldenFormat(JsonElement root) =>
        root.ValueKind == JsonValueKind.Object && root.TryGetProperty("prompts", out var prompts)
            && prompts.ValueKind == JsonValueKind.Array
        && prompts.EnumerateArray().All(prompt => prompt.ValueKind == JsonValueKind.Object
            && new[] { ("name", JsonValueKind.String), ("segments", JsonValueKind.Array), ("ids", JsonValueKind.Array) }
                .All(member => prompt.TryGetProperty(member.Item1, out var value) && value.ValueKind == member.Item2));
}
