using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Bench.Measuring;

/// <summary>Greedy few-shot prompts: a picture and a text per shot, then a picture and the beginning of its text.</summary>
/// <param name="endOfChunk">The text of the model's end-of-example token.</param>
public sealed class ShotPrompts(NoisePictures pictures, string endOfChunk)
{
    /// <summary>Creates a prompt with new pictures.</summary>
    public FlamingoRequest New(int shots, int maxTokens)
    {
        var segments = new List<FlamingoSegment>();
        for (var shot = 0; shot < shots; shot++)
        {
            segments.Add(new FlamingoPicture(pictures.Next()));
            segments.Add(new FlamingoText($"This is a {(shot % 2 == 0 ? "jano" : "pilu")}{endOfChunk}"));
        }

        segments.Add(new FlamingoPicture(pictures.Next()));
        segments.Add(new FlamingoText("This is a"));
        return new FlamingoRequest(segments, new SamplingParameters { MaxTokens = maxTokens, Temperature = 0 });
    }

    /// <summary>Creates a prompt with the same shots and a new last picture.</summary>
    public FlamingoRequest WithNewPicture(FlamingoRequest prompt) =>
        prompt with { Segments = [.. prompt.Segments.SkipLast(2), new FlamingoPicture(pictures.Next()), prompt.Segments[^1]] };
}
