using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Tests.Execution;

public sealed class BeamTests(Models models)
{
    public static TheoryData<string, string> Answered => Golden.Names(with: "beam3_length_penalty_0");

    [Theory]
    [MemberData(nameof(Answered))]
    public async Task Three_beams_are_the_originals(string family, string name)
    {
        // a stage without other requests, so that the test can wait until it is idle
        await using var stage = models.NewStage(models.DirectoryOf(family), new());
        foreach (var penalty in new[] { 0, 1 })
        {
            var golden = Golden.Prompt(family, name).GetProperty($"beam3_length_penalty_{penalty}");
            var (text, ids, finished) = await LanguageModelStageTests.Generate(
                stage, new(Golden.Segments(family, name), new() { MaxTokens = 12, Beams = 3, LengthPenalty = penalty }));
            Assert.Equal(Golden.Ids(golden.GetProperty("ids")), ids);
            Assert.Equal(golden.GetProperty("text").GetString()!.Replace("<|endofchunk|>", "", StringComparison.Ordinal), text);
            Assert.Equal(golden.GetProperty("score").GetDouble(), Assert.Single(finished.Samples).Score!.Value, 1e-3);
        }

        await LanguageModelStageTests.Idle(stage);
    }

    [Fact]
    public async Task The_best_beams_come_best_first_and_differ()
    {
        var (answers, finished) = (new List<AnswerTokens>(), (AnswerFinished?)null);
        await foreach (var item in models.Stage("mpt1b")
            .GenerateAsync(new(Golden.Segments("mpt1b", "vqa"), new() { MaxTokens = 12, Beams = 5, Samples = 4 }),
                TestContext.Current.CancellationToken))
        {
            if (item is AnswerTokens answer) answers.Add(answer);
            finished = item as AnswerFinished;
        }

        Assert.Equal([0, 1, 2, 3], answers.Select(answer => answer.Sample));
        Assert.Equal(4, answers.Select(answer => string.Join(' ', answer.Ids)).Distinct().Count());
        Assert.Equal(finished!.Samples.Select(sample => sample.Score).OrderDescending(), finished.Samples.Select(sample => sample.Score));
    }
}
