using System.Security.Cryptography;
using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Execution;

/// <summary>
/// Converts segments to tokens. All texts are joined, with an image token in the place of each picture, and tokenized once.
/// </summary>
public sealed class PromptReader(ITokenizer tokenizer, TokensConfig tokens, LanguageModelDescription model)
{
    /// <summary>Returns the token ids of a prompt without running it.</summary>
    /// <exception cref="FlamingoException">InvalidArgument, with all faults.</exception>
    public IReadOnlyList<int> Tokenize(IReadOnlyList<PromptSegment> segments)
    {
        var faults = new FaultList();
        var ids = Tokenize(segments, faults);
        PromptRules.ThrowIfAny(faults);
        return ids;
    }

    /// <param name="answerTokens">Most tokens that follow the prompt. The capacity is limited to the context length.</param>
    /// <param name="faults">Faults found so far. The method adds its own and throws if there are any.</param>
    /// <exception cref="FlamingoException">InvalidArgument, with all faults.</exception>
    public SequencePrompt Read(IReadOnlyList<PromptSegment> segments, int answerTokens, FaultList faults)
    {
        var (names, latents) = segments.Count > PromptRules.MostSegments ? ([], []) : Pictures(segments, faults);
        var ids = Tokenize(segments, faults);
        if (ids.Count >= model.ContextLength)
            faults.Add(new(
                "segments", $"The prompt has {ids.Count} tokens; this model reads at most {model.ContextLength}, including the answer.",
                "Send fewer or shorter examples."));
        PromptRules.ThrowIfAny(faults);
        return new SequencePrompt(ids, SeenPictures.Of(ids, tokens), names, latents,
            Math.Min(ids.Count + answerTokens, model.ContextLength));
    }

    private IReadOnlyList<int> Tokenize(IReadOnlyList<PromptSegment> segments, FaultList faults)
    {
        var before = faults.Total;
        if (!PromptRules.CheckSegmentCount(segments.Count, faults)) return [];
        PromptRules.CheckTexts(
            segments.Index().Where(item => item.Item is TextSegment).Select(item => (item.Index, ((TextSegment)item.Item).Text)), model,
            faults);
        if (faults.Total > before) return [];

        var text = PromptText.Join(segments.Select(segment => (segment as TextSegment)?.Text), tokens);
        var ids = tokenizer.Encode(text.Text);
        var (pictures, markers) = (segments.Count(segment => segment is PictureSegment), ids.Count(id => id == tokens.Image.Id));
        if (ids.Count == 0) faults.Add(new("segments", "The prompt is empty.", "Send at least one character or picture."));
        // two texts can form a marker where they are joined
        if (pictures != markers || (tokens.AroundImage is { } fake && text.Around != ids.Count(id => id == fake.Id)))
            faults.Add(new(
                "segments", $"The joined texts contain {markers} picture markers for {pictures} pictures.",
                $"Leave '{string.Join("' and '", model.PictureMarkers)}' out of the texts, also where two texts are joined."));
        return tokens.Beginning is { } beginning ? [beginning.Id, .. ids] : ids;
    }

    // The name of every picture, and the latents that were sent, by name. A picture with neither latents nor checksum is the first value
    // that another picture of the prompt sends for the same key.
    private (List<string> Names, Dictionary<string, TensorData> Latents) Pictures(IReadOnlyList<PromptSegment> segments, FaultList faults)
    {
        var (latents, sent) =
            (new Dictionary<string, TensorData>(StringComparer.Ordinal), new Dictionary<string, string>(StringComparer.Ordinal));
        foreach (var (index, segment) in segments.Index())
        {
            if (segment is not PictureSegment picture || !HasForm(picture, index, faults) || picture.Latents is not { } value
                || !Fits(value, index, faults)) continue;
            var name = PictureName.Of(picture.Key, value.Checksum.Span);
            latents.TryAdd(name, value.Tensor);
            sent.TryAdd(picture.Key, name);
        }

        return ([.. segments.OfType<PictureSegment>().Select(NameOf)], latents);

        string NameOf(PictureSegment picture) =>
            picture.Checksum.IsEmpty && sent.TryGetValue(picture.Key, out var name)
                ? name
                : PictureName.Of(picture.Key, picture.Checksum.Span);
    }

    private static bool HasForm(PictureSegment picture, int segment, FaultList faults)
    {
        if (!PictureId.IsWellFormed(picture.Key))
            faults.Add(new($"segments[{segment}].key", "This is not a latent key.", "Send 64 lowercase hexadecimal characters."));
        else if (picture.Checksum.Length is not (0 or SHA256.HashSizeInBytes))
            faults.Add(new($"segments[{segment}].checksum", $"The checksum has {picture.Checksum.Length} bytes.", "Send a SHA-256."));
        else if (picture.Latents is { } sent && !picture.Checksum.IsEmpty && !sent.Checksum.Span.SequenceEqual(picture.Checksum.Span))
            faults.Add(new($"segments[{segment}].checksum", "It is not the checksum of the latents.", "Send the same checksum with both."));
        else return true;
        return false;
    }

    private bool Fits(ChecksummedLatents latents, int segment, FaultList faults)
    {
        var shape = latents.Tensor.Shape;
        if (shape.Length != 2 || shape[0] != model.Latents || shape[1] != model.LatentWidth)
            faults.Add(new($"segments[{segment}].latents", $"The shape is [{string.Join(", ", shape)}].", $"Send [{model.Latents}, "
                + $"{model.LatentWidth}]."));
        else if (!latents.IsIntact())
            faults.Add(new($"segments[{segment}].latents", "The checksum does not match the bytes.", "Encode the picture again."));
        else if (!latents.Tensor.IsFinite())
            faults.Add(new($"segments[{segment}].latents", "A value is infinite or not a number.", "Encode the picture again."));
        else return true;
        return false;
    }
}
