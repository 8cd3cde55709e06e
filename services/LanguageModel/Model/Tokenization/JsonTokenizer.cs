using System.Text;
using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Engine;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>
/// BPE from a Hugging Face <c>tokenizer.json</c>, byte-level (GPT-NeoX, MPT) or SentencePiece with byte fallback (LLaMA). It
/// produces exactly the ids of the Hugging Face tokenizers library, in these steps: raw added tokens → normaliser → normalised
/// added tokens → pieces → merges. Thread-safe.
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

        // In globalization-invariant mode .NET does not normalise text and reports no error, so the tokens would silently be wrong.
        if (file.ComposesCharacters && "e\u0301".Normalize(NormalizationForm.FormC) != "\u00E9")
            throw new CheckpointException(
                "The tokenizer normalises to NFC, which this process cannot do. Install ICU (libicu) and do not enable "
                + "globalization-invariant mode.");

        _merges = new MergeTable(file.Vocabulary, file.Merges, byteFallback: file.SentencePiece is not null);
        _raw = new(file.AddedTokens.Where(token => !token.Normalized).Select(token => (token.Content, token)));
        _normalized = new(file.AddedTokens.Where(token => token.Normalized).Select(token => (Normalize(token.Content), token)));
        _added = file.AddedTokens.ToDictionary(token => token.Id);
        _special = [.. file.AddedTokens.Where(token => token.Special).Select(token => token.Id)];

        _tokens =
            new string?[Math.Max(file.Vocabulary.Values.Max(), file.AddedTokens.Select(token => token.Id).DefaultIfEmpty().Max()) + 1];
        foreach (var (token, id) in file.Vocabulary) _tokens[id] = token;
        foreach (var token in file.AddedTokens) _tokens[token.Id] = token.Content;
        _bytes =
        [
            .. _tokens.Select(token => token is null ? null
                : file.SentencePiece is null ? ByteAlphabet.BytesOf(token) : SentencePieceRules.BytesOf(token)),
        ];
    }

    /// <exception cref="CheckpointException">The file is missing, damaged, or uses a feature that this build does not support.</exception>
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

    /// <summary>Upper bound of the ids, exclusive.</summary>
    public int Size => _tokens.Length;

    /// <summary>Ids that a caller may put before every text, such as that of a begin-of-text token.</summary>
    public IReadOnlyList<int> Beginning => _file.Beginning;

    /// <summary>Texts of the special tokens. Wherever one of them occurs in a text, it becomes that token.</summary>
    public IReadOnlyList<string> SpecialTokens =>
        [.. _file.AddedTokens.Where(token => token.Special).Select(token => token.Content).Order(StringComparer.Ordinal)];

    /// <summary>Ids of a text. Unpaired surrogates are read as U+FFFD.</summary>
    public IReadOnlyList<int> Encode(string text) => EncodeStretches(text, prepends: true);

    /// <summary>
    /// Ids of a text that continues a prompt. A text that begins with a space gets the ids that it has as a part of the whole
    /// text, because a normaliser that prepends a space would otherwise add a second one. Any other text gets the ids that it has
    /// by itself.
    /// </summary>
    /// <param name="before">The prompt's last id.</param>
    public IReadOnlyList<int> EncodeBehind(int before, string text)
    {
        if (_file.SentencePiece is not { PrependsBlank: true } || !text.StartsWith(' ')) return Encode(text);
        if (!_added.TryGetValue(before, out var token)) return EncodeStretches(text, prepends: false);
        var whole = EncodeStretches(token.Content + text, prepends: true); // after an added token a new stretch of text begins
        return whole.Count > 0 && whole[0] == before ? whole[1..] : EncodeStretches(text, prepends: true);
    }

    /// <summary>
    /// Text of the ids. As in Hugging Face, incomplete bytes become replacement characters, and ids without a token are left out.
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

    internal ReadOnlyMemory<byte> BytesOf(int id) => (uint)id < (uint)_bytes.Length ? _bytes[id] : null;

    // prepends: whether the normaliser puts a space before the first stretch of text too
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
