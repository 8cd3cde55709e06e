using System.Text;
using Flamingo.LanguageModel.Engine;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>
/// Decodes a stream of tokens. The bytes of an incomplete character are held back until the character is complete. Not
/// thread-safe.
/// </summary>
internal sealed class Utf8TokenStream(JsonTokenizer tokenizer) : ITokenStream
{
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();

    public string Push(int id) => Convert(tokenizer.BytesOf(id).Span, flush: false);

    public ReadOnlyMemory<byte> TextOf(int id) => tokenizer.BytesOf(id);

    public string Flush() => Convert([], flush: true);

    private string Convert(ReadOnlySpan<byte> bytes, bool flush)
    {
        var characters = new char[_decoder.GetCharCount(bytes, flush)];
        return new string(characters, 0, _decoder.GetChars(bytes, characters, flush));
    }
}
