using Flamingo.Evaluation.Reports;
using Flamingo.Evaluation.Reports.Samples;
using Flamingo.Evaluation.Runs;
using Xunit;

namespace Flamingo.Evaluation.Tests.Reports;

public sealed class SampleChoiceTests
{
    [Fact]
    public void Every_condition_has_its_share_and_of_it_the_worst_and_the_best()
    {
        ScoredItem[] items = [.. Answers(0, 1000), .. Answers(4, 1000), .. Answers(8, 1000)];
        var chosen = SampleChoice.Choose(items, 60);
        Assert.Equal(chosen.Select(item => item.Score).Order(), chosen.Select(item => item.Score));
        foreach (var shots in new[] { 0, 4, 8 })
        {
            var scores = chosen.Where(item => item.Answer.Condition.Shots == shots).Select(item => item.Score!.Value).ToList();
            Assert.Equal(20, scores.Count);
            Assert.Equal(Enumerable.Range(0, 15).Select(score => (double)score), scores[..15]);
            Assert.Equal([211, 408, 605, 802, 999], scores[15..]);
        }
    }

    [Fact]
    public void A_condition_with_few_answers_leaves_its_places_to_others()
    {
        var chosen = SampleChoice.Choose([.. Answers(0, 3), .. Answers(4, 1000)], 60);
        Assert.Equal([(0, 3), (4, 57)], chosen.CountBy(item => item.Answer.Condition.Shots).Select(one => (one.Key, one.Value)).Order());
        Assert.Equal(5, SampleChoice.Choose(Answers(0, 5), 60).Count);
        Assert.Empty(SampleChoice.Choose([], 60));
        Assert.Empty(SampleChoice.Choose(Answers(0, 5), 0));
    }

    [Fact]
    public void Equal_scores_are_chosen_from_the_whole_file_and_alike_for_every_condition()
    {
        ScoredItem[] items = [.. Answers(0, 1000), .. Answers(4, 1000)];
        var chosen = SampleChoice.Choose(items.Select(item => item with { Score = 0 }), 80);
        var ids = chosen.ToLookup(item => item.Answer.Condition.Shots, item => int.Parse(item.Answer.Id));
        Assert.Equal(ids[0].Order(), ids[4].Order());
        Assert.True(ids[0].Average() is > 300 and < 700);
        Assert.Equal(chosen.Select(item => item.Answer.Id),
            SampleChoice.Choose(items.Reverse().Select(item => item with { Score = 0 }), 80).Select(item => item.Answer.Id));
    }

    [Fact]
    public void Failures_are_not_among_them()
    {
        var items = Answers(0, 10).Append(new ScoredItem(Answers(0, 1).First().Answer, null))
            .Append(new ScoredItem(Answers(0, 1).First().Answer, double.NaN));
        Assert.Equal(10, SampleChoice.Choose(items, 60).Count);
    }

    private static IEnumerable<ScoredItem> Answers(int shots, int count) => Enumerable.Range(0, count).Select(id =>
        new ScoredItem(new ItemAnswer("b", "", new Condition(shots, 0, 42, "random"), $"{id}", [], ""), id));
}
