using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Bench.Measuring;

/// <summary>
/// Prompts of all forms that models/shapes was trained on, with zero to three shots; a seed always gives the same sequence.
/// </summary>
/// <param name="picture">Creates or selects each picture.</param>
/// <param name="endOfChunk">The text of the model's end-of-example token.</param>
public sealed class MixedPrompts(Func<ReadOnlyMemory<byte>> picture, string endOfChunk, int seed)
{
    private static readonly (string Question, string Answer)[] Forms =
    [
        ("Output:", "a red circle"),
        ("This is a", " jano"),
        ("Question:how many shapes are there? Short answer:", "two"),
        ("Question:is there a yellow star? Short answer:", "no"),
    ];

    private readonly Random _random = new(seed);

    public IReadOnlyList<FlamingoSegment> Next()
    {
        var (question, answer) = Forms[_random.Next(Forms.Length)];
        var segments = new List<FlamingoSegment>();
        for (var shots = _random.Next(4); shots > 0; shots--)
            segments.AddRange([new FlamingoPicture(picture()), new FlamingoText(question + answer + endOfChunk)]);
        return [.. segments, new FlamingoPicture(picture()), new FlamingoText(question)];
    }
}
