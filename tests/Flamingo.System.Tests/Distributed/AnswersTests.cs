using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Cli.Generating;
using Flamingo.Cli.Reporting;
using Flamingo.Client;
using Flamingo.SystemTests.Embedded;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Distributed;

/// <summary>Four processes give the same answers as one process.</summary>
public sealed class AnswersTests(Stack shared) : HostTests(shared)
{
    private static FlamingoRequest NewWord =>
        PromptFile.Read(RepositoryFiles.Path("models", "shapes", "examples", "new-word.json"), new FieldNames());

    [Fact(Timeout = 120_000)]
    public async Task Embedded_and_distributed_give_the_same_tokens()
    {
        await using var embedded = await EmbeddedFlamingo.StartAsync(null, ("Model:Threads", "1"));
        using var distributed = new FlamingoClient(Shared.Gateway.Address);

        var expected = await embedded.Flamingo.CompleteAsync(NewWord, Cancellation);
        var answer = await distributed.CompleteAsync(NewWord, Cancellation);
        Assert.Equal(" pilu", answer.Text);
        Assert.Equal(expected.Ids, answer.Ids);
        Assert.Equal((expected.Text, expected.Finished.Reason, expected.Finished.Digests),
            (answer.Text, answer.Finished.Reason, answer.Finished.Digests));
        Assert.Equal(expected.Pictures.Select(picture => picture.Id), answer.Pictures.Select(picture => picture.Id));
        Assert.Equal(9, answer.Pictures.Count);

        var drawn = new HashSet<string>();
        foreach (var seed in new ulong[] { 1, 2, 3 })
        {
            var sampled = NewWord with { Sampling = new SamplingParameters
            {
                MaxTokens = 40, Temperature = 1.8f, TopP = 0.98f, MinP = 0.001f, RepetitionPenalty = 4, FrequencyPenalty = 0.5f,
                PresencePenalty = -0.5f, NoRepeatNgramSize = 3, MinTokens = 12, Seed = seed,
            } };
            answer = await distributed.CompleteAsync(sampled, Cancellation);
            Assert.Equal((await embedded.Flamingo.CompleteAsync(sampled, Cancellation)).Ids, answer.Ids);
            Assert.True(answer.Ids.Count >= 12);
            drawn.Add(string.Join(' ', answer.Ids));
        }

        Assert.True(drawn.Count > 1, "The seeds drew one and the same answer: nothing was sampled.");
    }

    [Fact(Timeout = 120_000)]
    public async Task Embedded_and_distributed_rank_alike()
    {
        await using var embedded = await EmbeddedFlamingo.StartAsync(null, ("Model:Threads", "1"));
        using var distributed = new FlamingoClient(Shared.Gateway.Address);
        var request = new FlamingoRankRequest(NewWord.Segments, [" jano", " pilu", " small red circle"]);
        var expected = await embedded.Flamingo.RankAsync(request, Cancellation);
        var ranking = await distributed.RankAsync(request, Cancellation);

        Assert.Equal(expected.PromptTokens, ranking.PromptTokens);
        Assert.Equal(expected.Candidates.Select(candidate => candidate.Text), ranking.Candidates.Select(candidate => candidate.Text));
        foreach (var (one, other) in expected.Candidates.Zip(ranking.Candidates))
        {
            Assert.Equal(one.Ids, other.Ids);
            Assert.All(one.TokenLogLikelihoods.Zip(other.TokenLogLikelihoods), pair => Assert.Equal(pair.First, pair.Second, 1e-4f));
        }

        Assert.Equal(" pilu", ranking.Candidates.MaxBy(candidate => candidate.TokenLogLikelihoods.Sum())!.Text);
    }

    [Fact(Timeout = 60_000)]
    public async Task The_gateway_tells_whose_weights_answer()
    {
        using var distributed = new FlamingoClient(Shared.Gateway.Address);
        var model = await distributed.GetModelAsync(Cancellation);
        var config = ModelDirectory.Open(RepositoryFiles.Path("models", "shapes")).Config;
        await using (var embedded = await EmbeddedFlamingo.StartAsync())
        {
            var same = await embedded.Flamingo.GetModelAsync(Cancellation);
            Assert.Equal((same.Vision.WeightsDigest, same.Vision.PreprocessingVersion, same.Resampler.WeightsDigest),
                (model.Vision.WeightsDigest, model.Vision.PreprocessingVersion, model.Resampler.WeightsDigest));
        }

        Assert.Equal(config.Weights["language"].Digest, model.Language.WeightsDigest);
        Assert.Equal([config.ModelId], new[] { model.Vision.ModelId, model.Resampler.ModelId, model.Language.ModelId }.Distinct());
        Assert.Equal(config.Language.ContextLength, model.Language.ContextLength);
    }
}
