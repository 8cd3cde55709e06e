using System.Text;
using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Engine;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>
/// BPE from a Hugging Face <c>tokenizer.json</c>, byte-level (GPT-NeoX, MPT) or SentencePiece's with byte fallback (LLaMA), id for id as
/// its tokenizers library has it: raw added tokens → normaliser → normalised added tokens → pieces → merges. Safe for any number of
/// threads.
/// </summary>
public sealed class JsonTokenizer : ITokenizer
{
    private readonly TokenizerFile _file;
    private readonly MergeTable _merges;
    private readonly AddedTokenFinder _raw;
    private readonly AddedTokenFinder _normalized;
    private readonly byte[]?[] _bytes;
    private readonly string?[] _tokens;
    private readonly HashSet<int> _special;
    private readonly Dictionary<int, AddedToken> _added;

    public JsonTokenizer(TokenizerFile file)
    {
        _file = file;

        // A process in globalization-invariant mode leaves text as it is and says nothing: other tokens, silently.
        if (file.ComposesCharacters && "e\u0301".Normalize(NormalizationForm.FormC) != "\u00E9")
            throw new CheckpointException("The tokenizer normalises to NFC, which this process cannot: install ICU (libicu) and leave "
                + "globalization-invariant mode off.");

        _merges = new MergeTable(file.Vocabulary, file.Merges, byteFallback: file.SentencePiece is not null);
        _raw = new(file.AddedTokens.Where(token => !token.Normalized).Select(token => (token.Content, token)));
        _normalized = new(file.AddedTokens.Where(token => token.Normalized).Select(token => (Normalize(token.Content), token)));
        _added = file.AddedTokens.ToDictionary(token => token.Id);
        _special = [.. file.AddedTokens.Where(token => token.Special).Select(token => token.Id)];

        _tokens =
            new string?[Math.Max(file.Vocabulary.Values.Max(), file.AddedTokens.Select(token => token.Id).DefaultIfEmpty().Max()) + 1];
        foreach (var (token, id) in file.Vocabulary) _tokens[id] = token;
        foreach (var token in file.AddedTokens) _tokens[token.Id] = token.Content;
        _bytes = [.. _tokens.Select(token => token is null ? null : ByteAlphabet.BytesOf(token))];
    }

    /// <exception cref="CheckpointException">The file is missing, damaged, or asks for something that this build does not do.</exception>
    public static JsonTokenizer Load(string tokenizerJsonPath)
    {
        var file = TokenizerFile.Read(tokenizerJsonPath);
        try
        {
            return new JsonTokenizer(file);
        }
        catch (Exception exception) when (exception is CheckpointException or ArgumentException)
        {
            throw new CheckpointException($"{tokenizerJsonPath}: {exception.Message}", exception);
        }
    }

    /// <summary>Ids are below this.</summary>
    public int Size => _tokens.Length;

    /// <summary>Ids that stand before every text where the caller wants them.</summary>
    public IReadOnlyList<int> Beginning => _file.Beginning;

    /// <summary>Texts that are found in every text and become one token with a meaning of its own.</summary>
    public IReadOnlyList<string> SpecialTokens =>
        [.. _file.AddedTokens.Where(token => token.Special).Select(token => token.Content).Order(StringComparer.Ordinal)];

    /// <summary>Ids of a text; lone surrogates count as U+FFFD.</summary>
    public IReadOnlyList<int> Encode(string text) => EncodeStretches(text, prepends: true);

    /// <summary>
    /// Ids of a text that goes on behind a prompt. One that begins with a blank has the ids that it has in the whole text, where a
    /// normalizer that puts a blank before every stretch would give it a second one; any other has those that it has alone.
    /// </summary>
    /// <param name="before">The prompt's last id.</param>
    public IReadOnlyList<int> EncodeBehind(int before, string text)
    {
        if (_file.SentencePiece is not { PrependsBlank: true } || !text.StartsWith(' ')) return Encode(text);
        if (!_added.TryGetValue(before, out var token)) return EncodeStretches(text, prepends: false);
        var whole = EncodeStretches(token.Content + text, prepends: true); // behind a marker a stretch of its own begins
        return whole.Count > 0 && whole[0] == before ? whole[1..] : EncodeStretches(text, prepends: true);
    }

    /// <summary>
    /// Text of the ids: incomplete bytes become replacement characters, ids without a token are left out, as Hugging Face does.
    /// </summary>
    public string Decode(IReadOnlyList<int> ids, bool skipSpecial)
    {
        ArgumentNullException.ThrowIfNull(ids);
        var (stream, text) = (Stream(), new StringBuilder());
        foreach (var id in ids)
            if (!skipSpecial || !_special.Contains(id)) text.Append(stream.Push(id));
        return text.Append(stream.Flush()).ToString();
    }

    public ITokenStream Stream() =>
        _file.SentencePiece is { } rules ? new FallbackTokenStream(this, rules.StripsBlank) : new Utf8TokenStream(this);

    internal string? TokenOf(int id) => (uint)id < (uint)_tokens.Length ? _tokens[id] : null;

    internal ReadOnlySpan<byte> BytesOf(int id) => (uint)id < (uint)_bytes.Length ? _bytes[id] : null;

    // prepends: whether the first stretch gets the blank that the normalizer puts before every one
    private List<int> EncodeStretches(string text, bool prepends)
    {
        ArgumentNullException.ThrowIfNull(text);
        text = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));
        var ids = new List<int>(text.Length / 3 + 1);
        foreach (var (start, length, token) in _raw.Split(text))
        {
            if (token is not null) ids.Add(token.Id);
            else EncodeBetweenMarkers(Normalize(text.Substring(start, length), prepends || start > 0), start == 0, ids);
        }

        return ids;
    }

    private void EncodeBetweenMarkers(string text, bool first, List<int> ids)
    {
        foreach (var (start, length, token) in _normalized.Split(text))
        {
            if (token is not null)
            {
                ids.Add(token.Id);
                continue;
            }

            var rest = text.AsSpan(start, length);
            if (_file.SentencePiece?.Metaspace is { } metaspace) rest = metaspace.Mark(rest, first && start == 0);
            else if (_file.AddsPrefixSpace && rest[0] != ' ') rest = $" {rest}";
            while (!rest.IsEmpty)
            {
                var piece = rest[..NextLength(rest)];
                _merges.Encode(piece, ids);
                rest = rest[piece.Length..];
            }
        }
    }

    private int NextLength(ReadOnlySpan<char> text) =>
        _file.SplitsWords ? Gpt2Pieces.NextLength(text) : _file.SentencePiece?.Metaspace?.NextLength(text) ?? text.Length;

    private string Normalize(string text, bool prepends = true) =>
        _file.SentencePiece?.Normalize(text, prepends) ?? (_file.ComposesCharacters ? CanonicalComposition.Compose(text) : text);
}
