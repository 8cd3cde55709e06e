using Flamingo.LanguageModel.Engine;

namespace Flamingo.LanguageModel.Tokenization;

/// <summary>Text to token ids and back.</summary>
public interface ITokenizer
{
    IReadOnlyList<int> Encode(string text);

    /// <param name="skipSpecial">Leave special added tokens out.</param>
    string Decode(IReadOnlyList<int> ids, bool skipSpecial);

    /// <summary>Text of a stream of ids, special tokens included as their own text.</summary>
    ITokenStream Stream();
}
