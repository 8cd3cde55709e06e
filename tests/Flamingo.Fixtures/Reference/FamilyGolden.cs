using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Fixtures.Reference;

/// <summary>The original code's results for one family of checkpoints: golden.json and golden.safetensors of a folder.</summary>
public sealed class FamilyGolden
{
    private readonly string _tensors;
    private readonly Lazy<IReadOnlyList<TensorData>> _latents;

    /// <param name="folder">For example tests/reference/families/mpt1b.</param>
    /// <param name="name">The name of both files without their endings.</param>
    public FamilyGolden(string folder, string name = "golden")
    {
        _tensors = Path.Combine(folder, name + ".safetensors");
        using var json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, name + ".json")));
        Root = json.RootElement.Clone();
        Prompts = [.. Root.GetProperty("prompts").EnumerateArray()];
        _latents = new(() => ReferenceTensors.ReadRows(Path.Combine(folder, "golden.safetensors"), "latents"));
    }

    public static IReadOnlyList<string> Families { get; } = ["mpt1b", "mpt7b", "neox", "pythia", "llama", "idefics"];

    public JsonElement Root { get; }

    /// <summary>The prompts. Each has a name, segments and ids, and some have greedy answers, candidates and beams.</summary>
    public IReadOnlyList<JsonElement> Prompts { get; }

    /// <summary>One tensor [latents, width] per picture.</summary>
    public IReadOnlyList<TensorData> Latents => _latents.Value;

    /// <summary>A latent key for a picture of the golden.</summary>
    public static string Key(int picture) => $"{picture:x64}";

    public static int[] Ids(JsonElement ids) => [.. ids.EnumerateArray().Select(id => id.GetInt32())];

    public (float[] Values, int[] Shape) Tensor(string name) => ReferenceTensors.Read(_tensors, name);

    /// <summary>The logits of every token of a prompt.</summary>
    public (float[] Values, int[] Shape) Logits(JsonElement prompt) => Tensor($"logits.{prompt.GetProperty("name").GetString()}");

    /// <summary>The indices of a prompt's pictures, in the order of the prompt.</summary>
    public static IReadOnlyList<int> Pictures(JsonElement prompt) =>
    [
        .. prompt.GetProperty("segments").EnumerateArray()
            .Where(segment => segment.TryGetProperty("picture", out _))
            .Select(segment => segment.GetProperty("picture").GetInt32()),
    ];

    /// <summary>The segments of the prompt for a language model, with the golden latents.</summary>
    public IReadOnlyList<PromptSegment> Segments(JsonElement prompt) =>
    [
        .. prompt.GetProperty("segments").EnumerateArray().Select(segment => segment.TryGetProperty("picture", out var picture)
            ? (PromptSegment)new PictureSegment(Key(picture.GetInt32()), ChecksummedLatents.Of(Latents[picture.GetInt32()]))
            : new TextSegment(segment.GetProperty("text").GetString()!)),
    ];
}
