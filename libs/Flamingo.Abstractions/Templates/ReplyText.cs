namespace Flamingo.Abstractions.Templates;

/// <summary>
/// Removes from a streamed reply the leading spaces that the template puts before an answer. When the reply comes back as a past
/// turn, the template inserts them again, so that the prompt contains the same tokens as were generated.
/// </summary>
/// <param name="lead">The spaces to remove.</param>
public sealed class ReplyText(string lead)
{
    private readonly Dictionary<int, int> _remaining = []; // number of spaces that may still follow, by sample

    public AnswerTokens TrimLead(AnswerTokens tokens)
    {
        var remaining = _remaining.GetValueOrDefault(tokens.Sample, lead.Length);
        if (remaining == 0 || tokens.Text.Length == 0) return tokens;
        var text = tokens.Text;
        for (; remaining > 0 && text.StartsWith(' '); remaining--) text = text[1..];
        _remaining[tokens.Sample] = text.Length > 0 ? 0 : remaining;
        return tokens with { Text = text };
    }
}
