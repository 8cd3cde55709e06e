using System.Runtime.InteropServices;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Engine;
using Flamingo.Stages;
using Flamingo.Testing;

namespace Flamingo.LanguageModel.Tests;

/// <summary>A family's golden.json and golden.safetensors: what the original computed.</summary>
internal static class Golden
{
    public static readonly string[] Families = ["mpt1b", "mpt7b", "neox", "pythia", "llama", "idefics"];

    public static JsonElement Root(string family) =>
        JsonDocument.Parse(File.ReadAllText(RepositoryFiles.Path("tests", "reference", "families", family, "golden.json"))).RootElement;

    public static IReadOnlyList<JsonElement> Prompts(string family) => [.. Root(family).GetProperty("prompts").EnumerateArray()];

    /// <summary>
    /// Prompts with text behind the end of text, which sees no picture: their golden has ids, logits and greedy answers alone.
    /// </summary>
    public static IReadOnlyList<JsonElement> PromptsAfterEnd { get; } =
        [.. JsonDocument.Parse(File.ReadAllText(
            RepositoryFiles.Path("tests", "reference", "families", "idefics", "golden_after_end.json"))).RootElement.GetProperty("prompts")
            .EnumerateArray()];

    public static int ImageToken(string family) =>
        Root(family).GetProperty("special_tokens").GetProperty(family == "idefics" ? "<image>" : "image").GetInt32();

    public static JsonElement Prompt(string family, string name) =>
        All(family).Single(prompt => prompt.GetProperty("name").GetString() == name);

    /// <param name="with">Prompts that have this golden; null for all.</param>
    public static TheoryData<string, string> Names(string? with = null)
    {
        var names = new TheoryData<string, string>();
        foreach (var family in Families)
        {
            foreach (var prompt in All(family).Where(prompt => with is null || prompt.TryGetProperty(with, out _)))
                names.Add(family, prompt.GetProperty("name").GetString()!);
        }

        return names;
    }

    /// <summary>The prompt from its golden ids and latents: no tokenizer, no vision.</summary>
    public static SequencePrompt Sequence(string family, string name, int room)
    {
        var prompt = Prompt(family, name);
        var ids = Ids(prompt.GetProperty("ids"));
        var latents = Latents(family);
        var keys = Ids(prompt.GetProperty("pictures")).Select(Key).ToList();
        var (image, seen) = (ImageToken(family), 0);
        int[] pictures = prompt.TryGetProperty("sees", out var sees) ? [.. Ids(sees).Select(picture => picture - 1)]
            : [.. ids.Select(id => (seen += id == image ? 1 : 0) - 1)];
        return new SequencePrompt(
            ids, pictures, keys, latents.Index().ToDictionary(item => Key(item.Index), item => item.Item), ids.Length + room);
    }

    /// <summary>The golden logits of every token of a prompt.</summary>
    public static (float[] Values, int[] Shape) Logits(string family, string name) =>
        Tensor(["families", family, PromptsAfterEnd.Any(prompt => prompt.GetProperty("name").GetString() == name)
            ? "golden_after_end.safetensors" : "golden.safetensors"], $"logits.{name}");

    /// <summary>A latent key for a picture of the golden.</summary>
    public static string Key(int picture) => $"{picture:x64}";

    public static IReadOnlyList<PromptSegment> Segments(string family, string name)
    {
        var latents = Latents(family);
        return [.. Prompt(family, name).GetProperty("segments").EnumerateArray().Select(segment =>
            segment.TryGetProperty("picture", out var picture)
            ? (PromptSegment)new PictureSegment(Key(picture.GetInt32()), ChecksummedLatents.Of(latents[picture.GetInt32()]))
            : new TextSegment(segment.GetProperty("text").GetString()!))];
    }

    public static IReadOnlyList<TensorData> Latents(string family)
    {
        var (values, shape) = Tensor(["families", family, "golden.safetensors"], "latents");  // [pictures, latents, width]
        var size = shape[1] * shape[2];
        return [
            .. Enumerable.Range(0, shape[0])
                .Select(picture => TensorData.FromFloats(values.AsSpan(picture * size, size), shape[1], shape[2]))
        ];
    }

    public static (float[] Values, int[] Shape) Tensor(string[] file, string name)
    {
        using var opened = SafetensorsFile.Open(RepositoryFiles.Path(["tests", "reference", .. file]));
        var entry = opened.Entries[name];
        return (MemoryMarshal.Cast<byte, float>(opened.Read(entry)).ToArray(), [.. entry.Shape.Select(length => (int)length)]);
    }

    private static IEnumerable<JsonElement> All(string family) =>
        family == "idefics" ? Prompts(family).Concat(PromptsAfterEnd) : Prompts(family);

    public static int[] Ids(JsonElement ids) => [.. ids.EnumerateArray().Select(id => id.GetInt32())];

    /// <summary>Largest difference, relative to the largest expected absolute value.</summary>
    public static double Error(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        var (error, largest) = (0.0, 0.0);
        for (var index = 0; index < expected.Length; index++)
        {
            if (!float.IsFinite(actual[index])) return double.PositiveInfinity;
            error = Math.Max(error, Math.Abs((double)expected[index] - actual[index]));
            largest = Math.Max(largest, Math.Abs(expected[index]));
        }

        return error / largest;
    }
}
