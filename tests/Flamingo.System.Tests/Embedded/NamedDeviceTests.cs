using Flamingo.Abstractions;
using Flamingo.SystemTests.Episodes;
using TorchSharp;

namespace Flamingo.SystemTests.Embedded;

/// <summary>
/// All stages with the CPU as their device and torch's meta device, which knows shapes and no values, as the default: a tensor that is made
/// without naming a device would make the answer fail. torch has one default for the whole process: this runs alone.
/// </summary>
[Collection("torch's default device")]
public sealed class NamedDeviceTests
{
    [CollectionDefinition("torch's default device", DisableParallelization = true)]
    public sealed class Alone;

    [Theory(Timeout = 120_000)]
    [InlineData("float32", "native")]
    [InlineData("bfloat16", "int8")]
    public async Task From_pictures_to_words_every_tensor_is_made_on_the_device_that_was_given(string dtype, string storage)
    {
        torch.set_default_device(torch.META);
        try
        {
            Assert.Equal(DeviceType.META, torch.zeros(2).device_type);
            await using var embedded = await EmbeddedFlamingo.StartAsync(null, ("Model:Dtype", dtype), ("Model:WeightStorage", storage));
            var expected = Episode.Golden.Answers.First(answer => answer.Shots == 1);
            var request = new FlamingoRequest(Episode.All[expected.Episode].Segments(1), new SamplingParameters { MaxTokens = 14 });
            var answer = await embedded.Flamingo.CompleteAsync(request, TestContext.Current.CancellationToken);
            Assert.NotEmpty(answer.Text);
            if (dtype == "float32") Assert.Equal(expected.Text, answer.Text);
            var ranking = await embedded.Flamingo.RankAsync(
                new FlamingoRankRequest(Episode.All[expected.Episode].Segments(1), [" yes", " no"]),
                TestContext.Current.CancellationToken);
            Assert.All(ranking.Candidates, candidate => Assert.True(double.IsFinite(candidate.Sum)));
        }
        finally
        {
            torch.set_default_device(torch.CPU);
        }
    }
}
