using Flamingo.Abstractions;

namespace Flamingo.Gateway.Tasks;

/// <summary>
/// A reply as it streams, without the blanks that the template puts before it: they are put there again when the reply
/// comes back as a past turn, so that the same tokens stand in the prompt as were generated.
/// </summary>
/// <param name="lead">Blanks alone.</param>
internal sealed class ReplyText(string lead)
{
    private readonly Dictionary<int, int> _left = []; // blanks that may still come, by sample

    public AnswerTokens Of(AnswerTokens tokens)
    {
        var left = _left.GetValueOrDefault(tokens.Sample, lead.Length);
        if (left == 0 || tokens.Text.Length == 0) return tokens;
        var text = tokens.Text;
        for (; left > 0 && text.StartsWith(' '); left--) text = text[1..];
        _left[tokens.Sample] = text.Length > 0 ? 0 : left;
        return tokens with { Text = text };
    }
}
