using Flamingo.LanguageModel.Engine;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>Converts text to token ids and back.</summary>
public interface ITokenizer
{
    IReadOnlyList<int> Encode(string text);

    /// <param name="skipSpecial">Whether special added tokens are left out.</param>
    string Decode(IReadOnlyList<int> ids, bool skipSpecial);

    /// <summary>Creates a decoder for a stream of ids. Special tokens are decoded to their own text.</summary>
    ITokenStream Stream();
}
