using Flamingo.Abstractions;
using Flamingo.Bench.Measuring;
using Flamingo.Stages;
using Flamingo.VisionEncoder.Decoding;

namespace Flamingo.Bench.Tests.Measuring;

public sealed class ShotPromptsTests
{
    [Fact]
    public void Pictures_decode_all_differ_and_are_the_same_for_the_same_seed()
    {
        var (one, again, other) = (new NoisePictures(5, seed: 1), new NoisePictures(5, seed: 1), new NoisePictures(5, seed: 2));
        var seen = new HashSet<string>();
        for (var picture = 0; picture < 20; picture++)
        {
            var file = one.Next();
            Assert.Equal(file.ToArray(), again.Next().ToArray());
            Assert.True(seen.Add(Convert.ToHexString(file.Span)) && seen.Add(Convert.ToHexString(other.Next().Span)));
            var decoded = IPictureDecoder.Compiled.Decode(file);
            Assert.Equal((5, 5), (decoded!.Width, decoded.Height));
        }
    }

    [Fact]
    public void Another_last_picture_leaves_the_shots_as_they_were()
    {
        var prompts = new ShotPrompts(new NoisePictures(4, seed: 1), "<end>");
        var prompt = prompts.New(shots: 3, maxTokens: 5);
        var pictures = prompt.Segments.OfType<FlamingoPicture>().ToList();
        Assert.Equal(4, pictures.Count);
        Assert.Equal(3, prompt.Segments.OfType<FlamingoText>().Count(text => text.Text.EndsWith("<end>", StringComparison.Ordinal)));
        var changed = prompts.WithNewPicture(prompt);
        Assert.Equal(prompt.Segments.Count, changed.Segments.Count);
        Assert.Equal([6], prompt.Segments.Zip(changed.Segments).Index().Where(pair => pair.Item.First != pair.Item.Second)
            .Select(pair => pair.Index));
    }
}
