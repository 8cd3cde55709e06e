using System.Text;
using Flamingo.Checkpoints;

namespace Flamingo.LanguageModel.Execution;

/// <summary>The text that a prompt is tokenized as: all its texts, with the markers of the model in the places of pictures.</summary>
/// <param name="Text">The joined text.</param>
/// <param name="Around">Number of tokens around pictures that were placed.</param>
/// <param name="Ends">For each part, where it ends in the text, in characters.</param>
public sealed record PromptText(string Text, int Around, IReadOnlyList<int> Ends)
{
    /// <param name="parts">Texts in order; null stands for a picture.</param>
    public static PromptText Join(IEnumerable<string?> parts, TokensConfig tokens)
    {
        var (text, around, ends, beside) = (new StringBuilder(), 0, new List<int>(), false);
        foreach (var part in parts)
        {
            if (part is not null) text.Append(part);
            else Place();
            beside = part is null;
            ends.Add(text.Length);
        }

        return new PromptText(text.ToString(), around, ends);

        // Two adjacent pictures share the token between them.
        void Place()
        {
            if (!beside) Surround();
            text.Append(tokens.Image.Text);
            Surround();
        }

        void Surround()
        {
            if (tokens.AroundImage is not { } token) return;
            text.Append(token.Text);
            around++;
        }
    }
}
