using CsCheck;

namespace Flamingo.LanguageModel.Engine.Tests.Generation;

public sealed class RandomScheduleTests
{
    [Fact(Timeout = 300_000)]
    public async Task Every_answer_is_the_reference_answer_whatever_other_requests_do()
    {
        var runs = new System.Collections.Concurrent.ConcurrentBag<Exercise>();
        var cancellation = TestContext.Current.CancellationToken;
        await Gen.Int.SampleAsync(
            async seed =>
            {
                cancellation.ThrowIfCancellationRequested();
                runs.Add(await new RandomSchedule(seed).RunAsync());
            },
            iter: 2000);

        Assert.All(
            new (string Case, long Count)[]
            {
                ("answered", runs.Sum(run => run.Answered)),
                ("samples", runs.Sum(run => run.Samples)),
                ("beams", runs.Sum(run => run.Beams)),
                ("rankings", runs.Sum(run => run.Rankings)),
                ("cancelled", runs.Sum(run => run.Cancelled)),
                ("broken down", runs.Sum(run => run.BrokenDown)),
                ("not finite", runs.Sum(run => run.NotFinite)),
                ("no token left", runs.Sum(run => run.NoTokenLeft)),
                ("refused", runs.Sum(run => run.Refused)),
                ("latents missing", runs.Sum(run => run.LatentsMissing)),
                ("pinned", runs.Sum(run => run.Pinned)),
                ("cached tokens", runs.Sum(run => run.CachedTokens)),
                ("evictions", runs.Sum(run => run.Evictions)),
                ("copies", runs.Sum(run => run.Copies)),
                ("planned chunks", runs.Sum(run => run.Planned)),
                ("planned adoptions", runs.Sum(run => run.Adopted)),
                ("several at once", runs.Count(run => run.MostRunning > 3)),
                ("frequency or presence penalty", runs.Sum(run => run.Penalised)),
                ("no n-gram repeats", runs.Sum(run => run.WithoutRepeats)),
                ("minimum number of tokens", runs.Sum(run => run.LongEnough)),
                ("min-p", runs.Sum(run => run.ProbableOnly)),
                ("only the best id is returned", runs.Sum(run => run.OnlyBest)),
            },
            exercised =>
                Assert.True(exercised.Count > 200, $"{exercised.Case}: {exercised.Count} cases are too few for a meaningful test."));
        TestContext.Current.TestOutputHelper?.WriteLine(string.Join('\n', runs.Take(5)));
    }
}
