using System.Text;
using Flamingo.LanguageModel.Engine;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>
/// Decodes a stream of SentencePiece tokens. Bytes wait until a token that is none ends their run, because only then it is known
/// whether the run is text: if it is not, every one of its bytes becomes a replacement character, as Hugging Face decodes.
/// One caller at a time.
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
