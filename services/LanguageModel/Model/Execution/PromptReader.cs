using System.Text;
using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Execution;

/// <summary>Segments to tokens: all joined, the image token standing for each picture, tokenized once.</summary>
public sealed class PromptReader(ITokenizer tokenizer, TokensConfig tokens, LanguageModelDescription model)
{
    public IReadOnlyList<int> Tokenize(IReadOnlyList<PromptSegment> segments)
    {
        var text = new StringBuilder();
        foreach (var segment in segments) text.Append(segment is TextSegment words ? words.Text : tokens.Image.Text);
        var ids = tokenizer.Encode(text.ToString());
        return tokens.Beginning is { } beginning ? [beginning.Id, .. ids] : ids;
    }

    /// <param name="answerTokens">Most tokens that follow the prompt; the sequence's capacity is cut at the context length.</param>
    /// <param name="faults">Faults found so far; this adds its own and throws if there are any.</param>
    /// <exception cref="StageException">InvalidArgument (all faults), LatentsMissing (all keys).</exception>
    public SequencePrompt Read(IReadOnlyList<PromptSegment> segments, int answerTokens, List<FieldFault> faults)
    {
        PromptRules.CheckSegmentCount(segments.Count, faults);
        PromptRules.CheckTexts(segments.Index().Where(item => item.Item is TextSegment).Select(item => (item.Index, ((TextSegment)item.Item).Text)), model, faults);
        var latents = Latents(segments, faults, out var order);
        var ids = faults.Count == 0 ? Tokenize(segments) : [];
        if (faults.Count == 0 && ids.Count == 0) faults.Add(new("segments", "The prompt is empty.", "Send at least one character or picture."));
        if (ids.Count >= model.ContextLength)
            faults.Add(new("segments", $"The prompt has {ids.Count} tokens; this model reads {model.ContextLength}, its answer included.", "Send fewer or shorter examples."));
        PromptRules.ThrowIfAny(faults);
        return new SequencePrompt(ids, PictureOfToken(ids, order), latents, Math.Min(ids.Count + answerTokens, model.ContextLength));
    }

    // distinct latents, and for each picture of the prompt the index of its own
    private List<TensorData> Latents(IReadOnlyList<PromptSegment> segments, List<FieldFault> faults, out List<int> order)
    {
        var (latents, missing, byKey) = (new List<TensorData>(), new List<string>(), new Dictionary<string, int>(StringComparer.Ordinal));
        order = [];
        foreach (var (index, segment) in segments.Index())
        {
            if (segment is not PictureSegment picture) continue;
            if (!byKey.TryGetValue(picture.Key, out var known))
            {
                if (picture.Latents is null) missing.Add(picture.Key);
                else if (!Fits(picture.Latents, index, faults)) continue;
                known = byKey[picture.Key] = latents.Count;
                if (picture.Latents is not null) latents.Add(picture.Latents.Tensor);
            }

            order.Add(known);
        }

        PromptRules.ThrowIfAny(faults);
        return missing.Count == 0 ? latents : throw new StageException(StageErrorKind.LatentsMissing, $"{missing.Count} latents are not held here; send all pictures with their latents.") { Missing = missing };
    }

    private bool Fits(ChecksummedLatents latents, int segment, List<FieldFault> faults)
    {
        var shape = latents.Tensor.Shape;
        if (shape.Length != 2 || shape[0] != model.Latents || shape[1] != model.LatentWidth)
            faults.Add(new($"segments[{segment}].latents", $"The shape is [{string.Join(", ", shape)}].", $"Send [{model.Latents}, {model.LatentWidth}]."));
        else if (!latents.IsIntact())
            faults.Add(new($"segments[{segment}].latents", "The checksum does not fit the bytes.", "Encode the picture again."));
        else return true;
        return false;
    }

    private int[] PictureOfToken(IReadOnlyList<int> ids, IReadOnlyList<int> order)
    {
        var (seen, pictures) = (0, new int[ids.Count]);
        for (var position = 0; position < ids.Count; position++)
        {
            if (ids[position] == tokens.Image.Id) seen++;
            pictures[position] = seen == 0 ? -1 : order[seen - 1];
        }

        return pictures;
    }
}
