namespace Flamingo.LanguageModel.Engine;

/// <summary>Text of a stream of tokens; a character that spans several tokens comes out once, whole.</summary>
public interface ITokenStream
{
    /// <summary>The text that this token completes; empty while a character is incomplete.</summary>
    string Push(int id);

    /// <summary>What is left when no token follows, replacement characters for incomplete bytes included.</summary>
    string Flush();
}
