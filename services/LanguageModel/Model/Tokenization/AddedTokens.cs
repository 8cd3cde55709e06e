namespace Flamingo.LanguageModel.Tokenization;

/// <summary>A token found in text as it stands, before any merging.</summary>
/// <param name="Normalized">Looked for after normalising (runs of spaces) rather than in the raw text (markers).</param>
/// <param name="StripLeft">Takes the white space before it along.</param>
/// <param name="StripRight">Takes the white space after it along.</param>
public sealed record AddedToken(int Id, string Content, bool Special, bool Normalized, bool StripLeft, bool StripRight);

/// <summary>Finds added tokens: leftmost first, of those the longest, never overlapping.</summary>
public sealed class AddedTokenFinder
{
    private readonly Node _root = new();

    /// <param name="tokens">With the text to look for, which is the content as the normaliser leaves it.</param>
    public AddedTokenFinder(IEnumerable<(string Text, AddedToken Token)> tokens)
    {
        foreach (var (text, token) in tokens)
        {
            var node = _root;
            foreach (var character in text)
            {
                if (!node.Children.TryGetValue(character, out var child)) node.Children[character] = child = new Node();
                node = child;
            }

            node.Token = token;
        }
    }

    /// <summary>The text cut into added tokens and what lies between them (a null token); nothing empty.</summary>
    public IEnumerable<(int Start, int Length, AddedToken? Token)> Split(string text)
    {
        var done = 0;
        for (var at = 0; at < text.Length;)
        {
            var (token, end) = LongestAt(text, at);
            if (token is null)
            {
                at++;
                continue;
            }

            var start = at;
            if (token.StripLeft) while (start > done && char.IsWhiteSpace(text[start - 1])) start--;
            if (token.StripRight) while (end < text.Length && char.IsWhiteSpace(text[end])) end++;
            if (start > done) yield return (done, start - done, null);
            yield return (start, end - start, token);
            at = done = end;
        }

        if (done < text.Length) yield return (done, text.Length - done, null);
    }

    private (AddedToken? Token, int End) LongestAt(string text, int start)
    {
        (AddedToken? Token, int End) longest = (null, start);
        var node = _root;
        for (var at = start; at < text.Length && node.Children.TryGetValue(text[at], out var child); at++)
        {
            node = child;
            if (node.Token is not null) longest = (node.Token, at + 1);
        }

        return longest;
    }

    private sealed class Node
    {
        public Dictionary<char, Node> Children { get; } = [];

        public AddedToken? Token { get; set; }
    }
}
