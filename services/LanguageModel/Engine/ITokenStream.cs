namespace Flamingo.LanguageModel.Engine;

/// <summary>Decodes a stream of tokens to text. A character that spans several tokens is returned once it is complete.</summary>
public interface ITokenStream
{
    /// <summary>The text that this token completes; empty while a character is incomplete.</summary>
    string Push(int id);

    /// <summary>Returns the remaining text when no token follows, with replacement characters for incomplete bytes.</summary>
    string Flush();
}
