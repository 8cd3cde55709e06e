namespace Flamingo.LanguageModel.Engine;

/// <summary>Decodes a stream of tokens to text. A character that spans several tokens is returned once it is complete.</summary>
public interface ITokenStream
{
    /// <summary>The text that this token completes; empty while a character is incomplete.</summary>
    string Push(int id);

    /// <summary>The UTF-8 text of a token by itself, which may be a part of a character; empty for an id without a token.</summary>
    ReadOnlyMemory<byte> TextOf(int id);

    /// <summary>Returns the remaining text when no token follows, with replacement characters for incomplete bytes.</summary>
    string Flush();
}
