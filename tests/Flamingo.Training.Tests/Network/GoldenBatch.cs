using Flamingo.Fixtures.Reference;
using Flamingo.Testing;
using Flamingo.Training.Network;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Training.Tests.Network;

/// <summary>The golden prompts of one family as a batch of sequences, and the original's results for them.</summary>
internal sealed class GoldenBatch
{
    private const int Padding = 0; // Any id will do: nothing that counts is behind it.
    private readonly FamilyGolden _golden;

    /// <param name="family">Name of the family.</param>
    /// <param name="name">Name of the golden's files without their endings.</param>
    public GoldenBatch(string family, string name = "golden")
    {
        var folder = RepositoryFiles.Path("tests", "reference", "families", family);
        _golden = new FamilyGolden(folder, name);
        (Features, Latents) = (Read(folder, "features"), Read(folder, "latents"));
        Names = [.. _golden.Prompts.Select(prompt => prompt.GetProperty("name").GetString()!)];
        Ids = [.. _golden.Prompts.Select(prompt => FamilyGolden.Ids(prompt.GetProperty("ids")))];
        Pictures = [.. _golden.Prompts.Select(prompt => FamilyGolden.Ids(prompt.GetProperty("pictures")))];
    }

    public IReadOnlyList<string> Names { get; }

    public IReadOnlyList<int[]> Ids { get; }

    public IReadOnlyList<int[]> Pictures { get; }

    /// <summary>Features and latents of the golden's pictures, [pictures, patches or latents, width].</summary>
    public (float[] Values, int[] Shape) Features { get; }

    /// <inheritdoc cref="Features"/>
    public (float[] Values, int[] Shape) Latents { get; }

    /// <summary>The original's logits of a prompt, [tokens × vocabulary].</summary>
    public float[] Logits(int prompt) => _golden.Logits(_golden.Prompts[prompt]).Values;

    /// <summary>Some prompts in one batch, with every token as a label.</summary>
    public TrainingBatch Of(params int[] prompts)
    {
        var length = prompts.Max(prompt => Ids[prompt].Length);
        int[] Padded(int prompt, int padding) => [.. Ids[prompt], .. Enumerable.Repeat(padding, length - Ids[prompt].Length)];
        return new TrainingBatch([.. prompts.Select(prompt => Padded(prompt, Padding))],
            [.. prompts.Select(prompt => Padded(prompt, TrainingBatch.Ignored))], [.. prompts.Select(prompt => Pictures[prompt])]);
    }

    public static Tensor ToTensor((float[] Values, int[] Shape) data) =>
        tensor(data.Values, [.. data.Shape.Select(length => (long)length)]);

    private static (float[] Values, int[] Shape) Read(string folder, string name) =>
        ReferenceTensors.Read(Path.Combine(folder, "golden.safetensors"), name);
}
