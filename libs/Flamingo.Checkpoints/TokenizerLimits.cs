namespace Flamingo.Checkpoints;

/// <summary>Limits of a tokenizer. The importer and the services use the same limits, so an imported tokenizer can be loaded.</summary>
public static class TokenizerLimits
{
    /// <summary>
    /// Every token id is below this, because ids are indices of arrays. The largest vocabulary that has been published so far has 262,144
    /// tokens.
    /// </summary>
    public const int MostTokens = 1 << 20;

    /// <summary>
    /// Most UTF-16 units of one token. The limit bounds the length of answers, because a token's text is copied each time that the token is
    /// generated. The longest token of published vocabularies is a few hundred blanks.
    /// </summary>
    public const int LongestToken = 1 << 10;

    /// <summary>
    /// Most UTF-16 units of all added tokens together. Each unit can become a state of the automaton that finds added tokens in a text.
    /// </summary>
    public const int MostAddedText = 1 << 20;

    /// <summary>Most tokens that a template puts before a text.</summary>
    public const int MostBefore = 16;
}
