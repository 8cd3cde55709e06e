namespace Flamingo.Checkpoints;

/// <summary>Limits that every tokenizer must keep, checked when one is imported and when one is loaded.</summary>
public static class TokenizerLimits
{
    /// <summary>Ids are below this, because they index arrays. The largest vocabulary published so far has 262,144.</summary>
    public const int MostTokens = 1 << 20;

    /// <summary>
    /// UTF-16 units of one token, which is copied as often as it is generated. The longest of published vocabularies is a few hundred
    /// blanks.
    /// </summary>
    public const int LongestToken = 1 << 10;

    /// <summary>UTF-16 units of all added tokens together: each becomes a state of the automaton that finds them.</summary>
    public const int MostAddedText = 1 << 20;

    /// <summary>Tokens that a template puts before a text.</summary>
    public const int MostBefore = 16;
}
