using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Runs;
using Xunit;

namespace Flamingo.Evaluation.Tests.Runs;

/// <summary>What a run asks: the same shots for every model, other shots in every trial, and ablations of the same shots.</summary>
public sealed class RunPlanTests
{
    [Fact]
    public void Shots_are_the_same_each_time_and_differ_between_trials_and_queries()
    {
        var options = new RunOptions { Shots = [4, 8], Seeds = [42, 43] };
        var plan = RunPlan.Of(SmallBenchmark.Captions(6, 50), options).ToArray();
        Assert.Equal(6 * 2 * 2, plan.Length);
        Assert.Equal(plan.Select(one => string.Join(' ', one.ShotIds)),
            RunPlan.Of(SmallBenchmark.Captions(6, 50), options).Select(one => string.Join(' ', one.ShotIds)));
        Assert.All(plan, one => Assert.Equal(one.Condition.Shots, one.Shots.Count));
        Assert.Equal(plan.Length, plan.Select(one => string.Join(' ', one.ShotIds)).Distinct().Count());
        // more shots are the fewer ones and others, so that a curve over shots shows what the added ones bring
        foreach (var four in plan.Where(one => one.Condition.Shots == 4))
            Assert.Equal(four.ShotIds,
                plan.Single(one => one.Condition == four.Condition with { Shots = 8 } && one.Query.Id == four.Query.Id)
                .ShotIds.Take(4));
    }

    [Fact]
    public void The_draw_of_one_seed_stays_what_it_is()
    {
        // Results of different versions are compared, so a change of the draw must not go unnoticed.
        var plan = RunPlan.Of(SmallBenchmark.Captions(2, 20), new RunOptions { Shots = [4] }).ToArray();
        Assert.Equal(["e18 e5 e16 e17", "e14 e0 e12 e19"], plan.Select(one => string.Join(' ', one.ShotIds)));
    }

    [Fact]
    public void Zero_shots_are_two_examples_without_pictures_where_there_are_examples()
    {
        var plan = RunPlan.Of(SmallBenchmark.Captions(2, 20), new RunOptions { Shots = [0] }).ToArray();
        Assert.All(plan, one => Assert.Equal((true, 2, 0), (one.TextAlone, one.Shots.Count, one.ShotIds.Count)));
        Assert.All(RunPlan.Of(SmallBenchmark.Captions(2, 0), new RunOptions { Shots = [0] }), one => Assert.Empty(one.Shots));
    }

    [Fact]
    public void Samples_are_some_of_the_queries_in_the_order_of_the_file_and_others_in_another_trial()
    {
        var plan = RunPlan.Of(SmallBenchmark.Captions(100, 20), new RunOptions { Shots = [4], Samples = 10, Seeds = [1, 2] }).ToArray();
        var trials = plan.GroupBy(one => one.Condition.Trial).Select(trial => trial.Select(one => int.Parse(one.Query.Id[1..])).ToArray())
            .ToArray();
        Assert.All(trials, trial => Assert.Equal(trial.Order(), trial));
        Assert.All(trials, trial => Assert.Equal(10, trial.Length));
        Assert.NotEqual(trials[0], trials[1]);
    }

    [Fact]
    public void Items_with_their_own_shots_are_asked_with_the_first_of_them()
    {
        var plan = RunPlan.Of(SmallBenchmark.Episodes(), new RunOptions()).ToArray();
        Assert.Equal(["0 at 0: ", "0 at 1: 0.0", "1 at 1: 1.0", "0 at 2: 0.0 0.1"],
            plan.Select(one => $"{one.Query.Id} at {one.Condition.Shots}: {string.Join(' ', one.ShotIds)}"));
        Assert.All(plan, one => Assert.Equal(RunOptions.Own, one.Condition.Selection));
    }

    [Fact]
    public void Rices_takes_the_nearest_and_puts_the_nearest_last()
    {
        var benchmark = SmallBenchmark.Captions(1, 9);
        var plan = RunPlan.Of(benchmark, new RunOptions { Shots = [3], Selection = RunOptions.Rices }, _ => benchmark.Examples);
        Assert.Equal(["e2", "e1", "e0"], Assert.Single(plan).ShotIds);
    }

    [Fact]
    public void Shots_without_examples_are_refused_with_the_remedy()
    {
        var refused = Assert.Throws<BenchmarkException>(() => RunPlan.Of(SmallBenchmark.Captions(2, 0), new RunOptions { Shots = [0, 4] }));
        Assert.Contains("no examples to draw 4 shots from", refused.Message, StringComparison.Ordinal);
        Assert.Equal([0], RunPlan.Counts(SmallBenchmark.Captions(2, 0), new RunOptions()));
    }

    [Fact]
    public void Zero_shots_by_similarity_are_the_two_nearest_without_pictures()
    {
        // OpenFlamingo takes two demonstrations for zero shots, and RICES chooses them; its published scores at zero shots differ by that.
        var benchmark = SmallBenchmark.Captions(1, 9);
        var planned = Assert.Single(
            RunPlan.Of(benchmark, new RunOptions { Shots = [0], Selection = RunOptions.Rices }, _ => benchmark.Examples));
        Assert.True(planned.TextAlone);
        Assert.Equal(["e1", "e0"], planned.Shots.Select(shot => shot.Id));
    }

    [Fact]
    public void Each_query_is_ranked_once_for_all_numbers_of_shots_trials_and_ablations()
    {
        var (benchmark, asked) = (SmallBenchmark.Captions(3, 20), new List<string>());
        var options = new RunOptions
        {
            Shots = [0, 4, 8], Seeds = [1, 2], Selection = RunOptions.Rices, Ablations = [RunOptions.BlankPictures],
        };
        _ = RunPlan.Of(benchmark, options, query =>
        {
            asked.Add(query.Id);
            return benchmark.Examples;
        }).ToArray();
        Assert.Equal(["q0", "q1", "q2"], asked);
    }

    [Fact]
    public void More_shots_than_examples_are_refused_and_left_out_by_default()
    {
        Assert.Contains("12 shots cannot be drawn from 10 examples. Ask for fewer", Refused(10, new RunOptions { Shots = [4, 12] }));
        Assert.Contains("12 shots cannot be drawn from 8 examples. Raise --query-set",
            Refused(50, new RunOptions { Shots = [12], QuerySet = 8 }));
        Assert.Equal([0, 4, 8], RunPlan.Counts(SmallBenchmark.Captions(2, 10), new RunOptions()));
        // an example with the query's own picture is not drawn, so one is missing
        var query = SmallBenchmark.Item("e3", "a dog");
        var benchmark = SmallBenchmark.Captions(0, 5) with { Queries = [query] };
        var refused = Assert.Throws<BenchmarkException>(() => RunPlan.Of(benchmark, new RunOptions { Shots = [5] }).ToArray());
        Assert.Contains("only 4 examples", refused.Message, StringComparison.Ordinal);

        static string Refused(int examples, RunOptions options) =>
            Assert.Throws<BenchmarkException>(() => RunPlan.Of(SmallBenchmark.Captions(2, examples), options)).Message;
    }

    [Fact]
    public void Numbers_of_shots_that_no_item_has_are_refused()
    {
        var refused = Assert.Throws<BenchmarkException>(() => RunPlan.Of(SmallBenchmark.Episodes(), new RunOptions { Shots = [1, 3] }));
        Assert.Contains("no query with 3 shots", refused.Message, StringComparison.Ordinal);
        Assert.Contains("--shots 0 1 2", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_single_shot_of_an_items_own_takes_its_label_from_another_item_of_the_group()
    {
        var benchmark = SmallBenchmark.Episodes() with
        {
            Queries =
            [
                SmallBenchmark.Item("0", " red", "color") with { Shots = [SmallBenchmark.Item("0.0", " red")], ShotCounts = [1] },
                SmallBenchmark.Item("1", " two", "count") with { Shots = [SmallBenchmark.Item("1.0", " two")], ShotCounts = [1] },
                SmallBenchmark.Item("2", " red", "color") with { Shots = [SmallBenchmark.Item("2.0", " blue")], ShotCounts = [1] },
            ],
        };
        var plan = RunPlan.Of(benchmark, new RunOptions { Ablations = [RunOptions.ShuffledLabels] })
            .Where(one => one.Condition.Ablation != RunOptions.None).ToArray();
        Assert.Equal([" blue", " two", " red"], plan.Select(one => one.Shots.Single().Answer)); // the group 'count' has no other label
    }

    [Fact]
    public void Ablations_change_labels_or_pictures_and_nothing_else()
    {
        var options = new RunOptions { Shots = [0, 4], Ablations = RunOptions.AllAblations };
        var plan = RunPlan.Of(SmallBenchmark.Captions(5, 30), options).ToArray();
        Assert.Equal(5 * (2 + 3), plan.Length); // zero shots have nothing to change
        foreach (var changed in plan.Where(one => one.Condition.Ablation != RunOptions.None))
        {
            var plain = plan.Single(one => one.Condition == changed.Condition with { Ablation = RunOptions.None }
                && one.Query.Id == changed.Query.Id);
            Assert.Equal(plain.ShotIds, changed.ShotIds);
            var (labels, pictures) = (plain.Shots.Select(shot => shot.Answer), plain.Shots.Select(Picture));
            switch (changed.Condition.Ablation)
            {
                case RunOptions.ShuffledLabels:
                    Assert.All(changed.Shots.Zip(plain.Shots), pair => Assert.NotEqual(pair.Second.Answer, pair.First.Answer));
                    Assert.Equal(pictures, changed.Shots.Select(Picture));
                    break;
                case RunOptions.OtherPictures:
                    Assert.All(changed.Shots.Zip(plain.Shots), pair => Assert.NotEqual(Picture(pair.Second), Picture(pair.First)));
                    Assert.Equal(labels, changed.Shots.Select(shot => shot.Answer));
                    break;
                default:
                    Assert.True(changed.Blank);
                    break;
            }
        }

        static string Picture(BenchmarkItem item) => Assert.IsType<PicturePart>(item.Parts.Single()).File;
    }
}
