namespace Flamingo.LanguageModel.Tokenization;

/// <summary>A token that is found in the text literally, before any merging.</summary>
/// <param name="Normalized">Whether the token is searched for in the normalised text (for example runs of spaces) and not in the
/// raw text (markers).</param>
/// <param name="StripLeft">Whether the token includes the white space before it.</param>
/// <param name="StripRight">Whether the token includes the white space after it.</param>
public sealed record AddedToken(int Id, string Content, bool Special, bool Normalized, bool StripLeft, bool StripRight);

/// <summary>
/// Finds added tokens in a text: the leftmost first, of those the longest, without overlap. The time is proportional to the
/// length of the text, whatever the tokens are. It runs the automaton of Aho and Corasick (1975) for the reversed tokens over the
/// text from its end, which yields at every position the longest token that begins there.
/// </summary>
public sealed class AddedTokenFinder
{
    private readonly List<(AddedToken Token, int Length)> _tokens = [];

    // a state is a suffix of a token that has been read; state 0 is the empty suffix
    private readonly Dictionary<(int State, char Letter), int> _next = [];
    private readonly int[] _fallback; // for each state, the longest shorter state to continue from
    private readonly int[] _longest; // for each state, the longest token that begins at this position, or -1

    /// <param name="tokens">The tokens, each with the text to search for, which is its content after normalisation.</param>
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

    /// <summary>Splits the text into added tokens and the parts between them, whose token is null. No part is empty.</summary>
    public IEnumerable<(int Start, int Length, AddedToken? Token)> Split(string text)
    {
        var (found, done) = (0, 0);
        foreach (var (at, length, token) in Beginnings(text, out _))
        {
            // The white space that a token includes is not part of its match. The next token may begin or even end within that
            // white space; the remainder then becomes text again.
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

    /// <summary>Every position at which a token begins, from left to right, with the longest token there.</summary>
    /// <param name="looked">Number of state lookups, as a measure of work; at most two for each letter.</param>
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

    // each fallback drops at least one letter that an earlier step has read, so the total number of lookups is linear
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
