using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Execution;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Training.Network;

namespace Flamingo.Training.Data;

/// <summary>Which tokens of a sequence count in the loss. Markers of pictures never do.</summary>
public enum LabelRule
{
    /// <summary>All tokens: pairs of OpenFlamingo.</summary>
    All,

    /// <summary>The tokens between a picture and the end of its chunk, that end included: documents of OpenFlamingo.</summary>
    Chunks,

    /// <summary>All tokens after the first picture, but for texts that say otherwise: examples of a JSONL file.</summary>
    AfterPicture,
}

/// <summary>A text or a picture of a sequence.</summary>
/// <param name="Text">The text; null for a picture.</param>
/// <param name="Counts">Whether the text may count in the loss.</param>
public readonly record struct SequencePart(string? Text, bool Counts = true)
{
    public static SequencePart Picture { get; } = new(null);
}

/// <summary>
/// Tokenizes texts and pictures as the language model's stage does with a prompt, and says which tokens count in the loss.
/// </summary>
public sealed class LabeledText
{
    private readonly ITokenizer _tokenizer;
    private readonly TokensConfig _tokens;
    private readonly int? _end;

    public LabeledText(ITokenizer tokenizer, TokensConfig tokens)
    {
        (_tokenizer, _tokens) = (tokenizer, tokens);
        // flamingo.json names the end of text of IDEFICS alone, since OpenFlamingo never stops there.
        var known = (tokens.HidesPictures ?? []).Concat(tokens.Stop).Where(id => id != tokens.EndOfChunk.Id).Select(id => (int?)id);
        var named = new[] { "<|endoftext|>", "</s>" }.Select(tokenizer.Encode).Where(ids => ids.Count == 1).Select(ids => (int?)ids[0]);
        _end = known.Concat(named).FirstOrDefault();
        if (_end == tokens.EndOfChunk.Id) _end = null;
    }

    /// <param name="parts">The sequence.</param>
    /// <param name="ends">Whether the end of text follows.</param>
    /// <param name="most">Tokens after so many are cut off.</param>
    /// <returns>Ids and labels, without padding.</returns>
    /// <exception cref="SampleException">A text holds a picture marker.</exception>
    public (int[] Ids, int[] Labels) Read(IReadOnlyList<SequencePart> parts, LabelRule rule, bool ends, int most)
    {
        var text = PromptText.Join(parts.Select(part => part.Text), _tokens);
        var encoded = _tokenizer.Encode(text.Text);
        if (encoded.Count(id => id == _tokens.Image.Id) != parts.Count(part => part.Text is null)
            || (_tokens.AroundImage is { } fake && encoded.Count(id => id == fake.Id) != text.Around))
            throw new SampleException(BrokenKind.BadText, $"a text holds {_tokens.Image.Text} or another marker of pictures. Leave it out; "
                + "a picture is a part of its own.");
        var counts = parts.All(part => part.Counts) ? null : Counted(encoded, parts, text);
        var (begins, length) = (_tokens.Beginning is null ? 0 : 1, encoded.Count);
        int[] ids = [.. Some(_tokens.Beginning?.Id), .. encoded, .. Some(ends ? _end : null)];
        var labels = new int[Math.Min(ids.Length, most)];
        for (var (at, open) = (0, rule == LabelRule.All); at < labels.Length; at++)
        {
            var (id, isText) = (ids[at], at >= begins && at < begins + length);
            var isMarker = id == _tokens.Image.Id || id == _tokens.AroundImage?.Id || at < begins;
            labels[at] = open && !isMarker && (counts is null || !isText || counts[at - begins]) ? id : TrainingBatch.Ignored;
            if (id == _tokens.Image.Id) open = true;
            else if (rule == LabelRule.Chunks && id == _tokens.EndOfChunk.Id) open = false;
        }

        return (ids[..labels.Length], labels);
    }

    private static int[] Some(int? id) => id is { } value ? [value] : [];

    // A token counts if any of its characters belongs to a text that counts, so the first token of an answer counts even if the tokenizer
    // joins it with a blank at the end of its question.
    private bool[] Counted(IReadOnlyList<int> ids, IReadOnlyList<SequencePart> parts, PromptText text)
    {
        var counts = new bool[text.Text.Length + 1];
        for (var (part, start) = (0, 0); part < parts.Count; start = text.Ends[part++])
            if (parts[part].Counts) counts.AsSpan(start, text.Ends[part] - start).Fill(true);
        var (stream, ends, at) = (_tokenizer.Stream(), new int[ids.Count], 0);
        var isExact = true;
        for (var token = 0; token < ids.Count; token++)
        {
            var piece = stream.Push(ids[token]);
            // SentencePiece puts a blank before the text that follows a special token.
            if (!Stands(piece) && piece[0] == ' ') piece = piece[1..];
            isExact &= Stands(piece);
            ends[token] = at += piece.Length;
        }

        at += stream.Flush().Length;
        bool Stands(string piece) => string.CompareOrdinal(text.Text, at, piece, 0, piece.Length) == 0;
        if (!isExact || at != text.Text.Length)
            throw new SampleException(BrokenKind.BadText, "the tokenizer changes the text, so it is unknown which tokens \"loss\": false "
                + "means. Write characters in their composed form (NFC).");
        // A token that completes no character shares the character that it begins.
        return [.. ends.Select((end, token) => (token == 0 ? 0 : ends[token - 1]) is var start
            && counts.AsSpan(start, Math.Max(end - start, 1)).Contains(true))];
    }
}
