using System.Text;
using System.Text.Json;

namespace Flamingo.Training.Data;

/// <summary>What a document consists of.</summary>
/// <param name="Parts">Texts and pictures, in reading order.</param>
/// <param name="Pictures">The files of the pictures, in the same order.</param>
internal sealed record DocumentContent(IReadOnlyList<SequencePart> Parts, IReadOnlyList<byte[]> Pictures);

/// <summary>
/// Reads a document of MMC4: <c>{"text_list": [sentence, …], "image_info": [{"image_base64", "matched_text_index", "matched_sim"}, …]}</c>.
/// A picture stands before the sentence that it is matched with. As in OpenFlamingo, the first pictures of the list are used. Unlike there,
/// they are put into the order of their sentences, because the markers in the text have that order.
/// </summary>
internal static class DocumentReader
{
    /// <param name="json">The document.</param>
    /// <param name="endOfChunk">Text of the token that ends a chunk.</param>
    /// <returns>Null if all pictures are too small or unlike their sentences.</returns>
    /// <exception cref="SampleException">The document is broken, or has no pictures at all.</exception>
    public static DocumentContent? Read(ReadOnlyMemory<byte> json, string endOfChunk, DataOptions options)
    {
        using var document = Parse(json);
        var root = document.RootElement;
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("text_list", out var list))
            throw new SampleException(BrokenKind.MissingPartner, "the .json has no text_list, and no picture lies beside it.");
        if (list.ValueKind != JsonValueKind.Array || list.EnumerateArray().Any(item => item.ValueKind != JsonValueKind.String))
            throw new SampleException(BrokenKind.BadJson, "text_list is no list of texts.");
        var sentences = list.EnumerateArray().Select(item => item.GetString()!).ToList();
        if (!root.TryGetProperty("image_info", out var infos) || infos.ValueKind != JsonValueKind.Array)
            throw new SampleException(BrokenKind.NoPictures, "the document has no list image_info.");
        var (pictures, any) = (new List<(byte[] File, int Sentence)>(), false);
        foreach (var (index, info) in infos.EnumerateArray().Index())
        {
            if (info.ValueKind != JsonValueKind.Object) throw Bad(index, "is no object");
            // The list of MMC4 names pictures that could not be downloaded too.
            if (!info.TryGetProperty("image_base64", out var base64) || base64.ValueKind == JsonValueKind.Null) continue;
            any = true;
            if (pictures.Count == options.MaxPictures) continue;
            if (!info.TryGetProperty("matched_sim", out var similarity) || !IsNumber(similarity, out var sim))
                throw Bad(index, "has no number matched_sim");
            if (!info.TryGetProperty("matched_text_index", out var matched) || matched.ValueKind != JsonValueKind.Number
                || !matched.TryGetInt32(out var sentence) || sentence < 0 || sentence >= sentences.Count)
                throw Bad(index, $"has no matched_text_index from 0 to {sentences.Count - 1}");
            if (base64.ValueKind != JsonValueKind.String || !base64.TryGetBytesFromBase64(out var file))
                throw new SampleException(BrokenKind.BadBase64, $"image_info[{index}].image_base64 is damaged.");
            if (file.Length == 0) throw new SampleException(BrokenKind.NoPictureFile, $"image_info[{index}] has no bytes.");
            if (file.Length > options.SmallestPictureBytes && sim >= options.MinSimilarity) pictures.Add((file, sentence));
        }

        if (!any) throw new SampleException(BrokenKind.NoPictures, "no entry of image_info has an image_base64.");
        return pictures.Count == 0 ? null : Interleave(sentences, [.. pictures.OrderBy(picture => picture.Sentence)], endOfChunk);
    }

    public static JsonDocument Parse(ReadOnlyMemory<byte> json)
    {
        try
        {
            return JsonDocument.Parse(json);
        }
        catch (JsonException exception)
        {
            throw new SampleException(BrokenKind.BadJson, Checkpoints.JsonProblem.Describe(exception));
        }
    }

    private static bool IsNumber(JsonElement element, out double value)
    {
        value = 0;
        return element.ValueKind == JsonValueKind.Number && element.TryGetDouble(out value);
    }

    private static SampleException Bad(int index, string problem) => new(BrokenKind.BadJson, $"image_info[{index}] {problem}.");

    // Sentences are joined with blanks, of which none stands beside a marker.
    private static DocumentContent Interleave(List<string> sentences, (byte[] File, int Sentence)[] pictures, string endOfChunk)
    {
        var (parts, text, next) = (new List<SequencePart>(), new StringBuilder(), 0);
        for (var sentence = 0; sentence < sentences.Count; sentence++)
        {
            if (sentence > 0) text.Append(' ');
            for (; next < pictures.Length && pictures[next].Sentence == sentence; next++)
            {
                var before = text.ToString().TrimEnd(' ') + (next > 0 ? endOfChunk : "");
                if (before.Length > 0) parts.Add(new SequencePart(before));
                parts.Add(SequencePart.Picture);
                text.Clear();
            }

            text.Append(text.Length == 0 ? sentences[sentence].TrimStart(' ') : sentences[sentence]);
        }

        parts.Add(new SequencePart(text + endOfChunk));
        return new DocumentContent(parts, [.. pictures.Select(picture => picture.File)]);
    }
}
