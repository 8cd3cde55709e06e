namespace Flamingo.LanguageModel.Tokenization;

/// <summary>A token found in text as it stands, before any merging.</summary>
/// <param name="Normalized">Looked for after normalising (runs of spaces) rather than in the raw text (markers).</param>
/// <param name="StripLeft">Takes the white space before it along.</param>
/// <param name="StripRight">Takes the white space after it along.</param>
public sealed record AddedToken(int Id, string Content, bool Special, bool Normalized, bool StripLeft, bool StripRight);

/// <summary>
/// Finds added tokens: leftmost first, of those the longest, never overlapping. In time proportional to the text, whatever the
/// tokens: the automaton of Aho and Corasick (1975) for the tokens written backwards, over the text from its end, knows at every
/// place the longest token that begins there.
/// </summary>
public sealed class AddedTokenFinder
{
    private readonly List<(AddedToken Token, int Length)> _tokens = [];

    // a state is what has been read of a token, from its end; state 0 is nothing
    private readonly Dictionary<(int State, char Letter), int> _next = [];
    private readonly int[] _fallback; // the longest other state that what has been read ends in
    private readonly int[] _longest; // the longest token that it ends in, or -1

    /// <param name="tokens">With the text to look for, which is the content as the normaliser leaves it.</param>
    public AddedTokenFinder(IEnumerable<(string Text, AddedToken Token)> tokens)
    {
        var states = new List<(int Parent, char Letter, int Depth, int Token)> { (0, '\0', 0, -1) };
        foreach (var (text, token) in tokens)
        {
            var state = 0;
            foreach (var letter in text.Reverse())
            {
                if (!_next.TryGetValue((state, letter), out var child))
                {
                    _next[(state, letter)] = child = states.Count;
                    states.Add((state, letter, states[state].Depth + 1, -1));
                }

                state = child;
            }

            states[state] = states[state] with { Token = _tokens.Count };
            _tokens.Add((token, text.Length));
        }

        var looked = 0;
        (_fallback, _longest) = (new int[states.Count], new int[states.Count]);
        _longest[0] = -1;
        foreach (var (state, (parent, letter, _, token)) in states.Index().Skip(1).OrderBy(item => item.Item.Depth))
        {
            _fallback[state] = parent == 0 ? 0 : Step(_fallback[parent], letter, ref looked);
            _longest[state] = token >= 0 ? token : _longest[_fallback[state]];
        }
    }

    /// <summary>The text cut into added tokens and what lies between them (a null token); nothing empty.</summary>
    public IEnumerable<(int Start, int Length, AddedToken? Token)> Split(string text)
    {
        var (found, done) = (0, 0);
        foreach (var (at, length, token) in Beginnings(text, out _))
        {
            // white space that a token took along is no part of what was found: the next may begin in it, or even end, and then gives back
            // the rest
            if (at < found) continue;
            found = at + length;
            var (start, end) = (at, found);
            if (token.StripLeft) while (start > done && char.IsWhiteSpace(text[start - 1])) start--;
            if (token.StripRight) while (end < text.Length && char.IsWhiteSpace(text[end])) end++;
            if (start > done) yield return (done, start - done, null);
            yield return (start, end - start, token);
            done = end;
        }

        if (done < text.Length) yield return (done, text.Length - done, null);
    }

    /// <summary>Every place where a token begins, from left to right, and the longest one there.</summary>
    /// <param name="looked">States looked up: the work done, at most two for each letter.</param>
    public IReadOnlyCollection<(int Start, int Length, AddedToken Token)> Beginnings(string text, out int looked)
    {
        var found = new Stack<(int Start, int Length, AddedToken Token)>();
        looked = 0;
        if (_tokens.Count == 0) return found;
        var state = 0;
        for (var at = text.Length - 1; at >= 0; at--)
        {
            state = Step(state, text[at], ref looked);
            if (_longest[state] >= 0) found.Push((at, _tokens[_longest[state]].Length, _tokens[_longest[state]].Token));
        }

        return found;
    }

    // a fallback takes back at least one letter that an earlier step has read
    private int Step(int state, char letter, ref int looked)
    {
        while (true)
        {
            looked++;
            if (_next.TryGetValue((state, letter), out var next)) return next;
            if (state == 0) return 0;
            state = _fallback[state];
        }
    }
}
