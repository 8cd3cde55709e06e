using System.Text;
using Flamingo.LanguageModel.Engine;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>
/// Decodes a stream of SentencePiece tokens. A run of byte tokens is held back until another token ends it, because only then it
/// is known whether the run is valid UTF-8. If it is not, each of its bytes becomes a replacement character, as in Hugging Face.
/// Not thread-safe.
/// </summary>
internal sealed class FallbackTokenStream(JsonTokenizer tokenizer, bool stripsBlank) : ITokenStream
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
    private readonly List<byte> _run = [];
    private bool _begun;

    public string Push(int id)
    {
        if (tokenizer.TokenOf(id) is not { } token) return "";
        if (SentencePieceRules.ByteOf(token) is not { } value) return Emit(EndRun() + SentencePieceRules.TextOf(token));
        _run.Add(value);
        return "";
    }

    public ReadOnlyMemory<byte> TextOf(int id) => tokenizer.BytesOf(id);

    public string Flush() => Emit(EndRun());

    private string EndRun()
    {
        var run = _run.ToArray();
        _run.Clear();
        try
        {
            return Strict.GetString(run);
        }
        catch (DecoderFallbackException)
        {
            return new string('\uFFFD', run.Length);
        }
    }

    private string Emit(string text)
    {
        if (_begun || text.Length == 0) return text;
        _begun = true;
        return stripsBlank && text[0] == ' ' ? text[1..] : text;
    }
}
