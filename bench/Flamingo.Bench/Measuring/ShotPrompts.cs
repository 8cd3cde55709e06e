using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Bench.Measuring;

/// <summary>Few-shot prompts as users send them: picture and text per shot, then a picture and the beginning of its text; greedy.</summary>
/// <param name="endOfChunk">What ends a shot.</param>
public sealed class ShotPrompts(NoisePictures pictures, string endOfChunk)
{
    /// <summary>A prompt whose pictures have never been seen.</summary>
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

    /// <summary>The same shots, and a last picture that has never been seen.</summary>
    public FlamingoRequest WithNewPicture(FlamingoRequest prompt) =>
        prompt with { Segments = [.. prompt.Segments.SkipLast(2), new FlamingoPicture(pictures.Next()), prompt.Segments[^1]] };
}
