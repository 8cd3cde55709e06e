using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Fixtures.Reference;
using Flamingo.LanguageModel.Engine;
using Flamingo.Stages;
using Flamingo.Testing;

namespace Flamingo.LanguageModel.Tests;

/// <summary>Golden values of the model families, by the names of family and prompt.</summary>
internal static class Golden
{
    private static readonly Dictionary<string, FamilyGolden> OfFamily =
        Families.ToDictionary(family => family, family => new FamilyGolden(Folder(family)));

    // Its prompts have text after the end-of-text token, which attends to no picture. It contains only ids, logits and greedy answers.
    private static readonly FamilyGolden AfterEnd = new(Folder("idefics"), "golden_after_end");

    public static IReadOnlyList<string> Families => FamilyGolden.Families;

    public static JsonElement Root(string family) => OfFamily[family].Root;

    public static IReadOnlyList<JsonElement> Prompts(string family) => OfFamily[family].Prompts;

    public static IReadOnlyList<JsonElement> PromptsAfterEnd => AfterEnd.Prompts;

    public static int ImageToken(string family) =>
        Root(family).GetProperty("special_tokens").GetProperty(family == "idefics" ? "<image>" : "image").GetInt32();

    public static JsonElement Prompt(string family, string name) =>
        All(family).Single(prompt => prompt.GetProperty("name").GetString() == name);

    /// <param name="with">Name of a golden value that the prompts must have; null for all prompts.</param>
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

    /// <summary>Returns a prompt from its golden ids and latents, without the tokenizer and the vision encoder.</summary>
    public static SequencePrompt Sequence(string family, string name, int room)
    {
        var prompt = Prompt(family, name);
        var ids = Ids(prompt.GetProperty("ids"));
        var keys = Ids(prompt.GetProperty("pictures")).Select(Key).ToList();
        var (image, seen) = (ImageToken(family), 0);
        int[] pictures = prompt.TryGetProperty("sees", out var sees) ? [.. Ids(sees).Select(picture => picture - 1)]
            : [.. ids.Select(id => (seen += id == image ? 1 : 0) - 1)];
        var latents = Latents(family).Index().ToDictionary(item => Key(item.Index), item => item.Item);
        return new SequencePrompt(ids, pictures, keys, latents, ids.Length + room);
    }

    /// <summary>Returns the golden logits of every token of a prompt.</summary>
    public static (float[] Values, int[] Shape) Logits(string family, string name)
    {
        var isAfterEnd = PromptsAfterEnd.Any(prompt => prompt.GetProperty("name").GetString() == name);
        return (isAfterEnd ? AfterEnd : OfFamily[family]).Logits(Prompt(family, name));
    }

    public static string Key(int picture) => FamilyGolden.Key(picture);

    public static IReadOnlyList<PromptSegment> Segments(string family, string name) => OfFamily[family].Segments(Prompt(family, name));

    public static IReadOnlyList<TensorData> Latents(string family) => OfFamily[family].Latents;

    public static (float[] Values, int[] Shape) Tensor(string[] file, string name) =>
        ReferenceTensors.Read(RepositoryFiles.Path(["tests", "reference", .. file]), name);

    public static int[] Ids(JsonElement ids) => FamilyGolden.Ids(ids);

    /// <inheritdoc cref="ReferenceTensors.Error"/>
    public static double Error(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual) => ReferenceTensors.Error(expected, actual);

    private static string Folder(string family) => RepositoryFiles.Path("tests", "reference", "families", family);

    private static IEnumerable<JsonElement> All(string family) =>
        family == "idefics" ? Prompts(family).Concat(PromptsAfterEnd) : Prompts(family);
}
