using System.Text;
using Flamingo.LanguageModel.Engine;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>Decodes a stream of tokens; bytes of an unfinished character wait for the rest of it. One caller at a time.</summary>
internal sealed class Utf8TokenStream(JsonTokenizer tokenizer) : ITokenStream
{
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();

    public string Push(int id) => Convert(tokenizer.BytesOf(id), flush: false);

    public string Flush() => Convert([], flush: true);

    private string Convert(ReadOnlySpan<byte> bytes, bool flush)
    {
        var characters = new char[_decoder.GetCharCount(bytes, flush)];
        return new string(characters, 0, _decoder.GetChars(bytes, characters, flush));
    }
}
