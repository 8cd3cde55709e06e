using Flamingo.Checkpoints;
using Flamingo.Training.Data;
using Flamingo.Training.Loop;
using Flamingo.Training.Network;

namespace Flamingo.Training.Tests.Loop;

public sealed class BatchPlanTests
{
    private const int Window = 256, Limit = 300;

    private static string Name(int number) => $"sequence {number}";

    // Sequence n has 1 to 90 tokens.
    private static TrainingSequence Sequence(int number)
    {
        var ids = Enumerable.Range(1, (number * 37 % 90) + 1).ToArray();
        return new TrainingSequence(ids, ids, [new PictureFile(new byte[] { 1 }, Flipped: false)], Name(number)) { Descriptions = [null] };
    }

    private static BatchPlan Plan(ulong seed = 1, int count = 700, Func<TrainingSequence, bool>? keep = null) => new(
        skip => Enumerable.Range((int)skip, Math.Max(0, count - (int)skip)).Select(Sequence), keep ?? (_ => true), Limit, seed);

    private static List<string[]> Origins(BatchPlan plan, StreamPosition? start = null) =>
        [.. plan.From(start ?? StreamPosition.Start).Select(one => one.Batch.Select(sequence => sequence.Origin).ToArray())];

    [Fact]
    public void No_batch_is_above_the_limit_and_every_sequence_of_a_window_comes_once()
    {
        var batches = Plan().From(StreamPosition.Start).ToList();
        Assert.All(batches, one => Assert.InRange(one.Batch.Count * one.Batch.Max(sequence => sequence.Ids.Length), 1, Limit));
        Assert.All(
            batches.GroupBy(one => one.Batch.Select(sequence => int.Parse(sequence.Origin[9..], null) / Window).Distinct().Single()),
            window => Assert.Equal(
                Enumerable.Range(window.Key * Window, Math.Min(Window, 700 - (window.Key * Window))).Select(Name).Order(),
                window.SelectMany(one => one.Batch).Select(sequence => sequence.Origin).Order()));
        // Padding is small, because a batch has sequences of about one length.
        var padded = batches.Sum(one => one.Batch.Count * one.Batch.Max(sequence => sequence.Ids.Length));
        Assert.InRange(padded, 1, 1.1 * batches.Sum(one => one.Batch.Sum(sequence => sequence.Ids.Length)));
    }

    [Fact]
    public void A_sequence_longer_than_the_limit_is_a_batch_of_its_own()
    {
        var ids = Enumerable.Range(0, Limit * 2).ToArray();
        var plan = new BatchPlan(_ => [Sequence(1), new TrainingSequence(ids, ids, [], "long") { Descriptions = [] }], _ => true, Limit, 1);
        Assert.Contains(Origins(plan), batch => batch is ["long"]);
    }

    [Fact]
    public void Every_position_resumes_exactly()
    {
        var (whole, positions) = (Origins(Plan()), Plan().From(StreamPosition.Start).Select(one => one.Next).ToList());
        foreach (var after in Enumerable.Range(1, positions.Count - 1))
            Assert.Equal(whole.Skip(after), Origins(Plan(), positions[after - 1]));
    }

    [Fact]
    public void The_order_depends_on_the_seed_alone()
    {
        Assert.Equal(Origins(Plan(seed: 5)), Origins(Plan(seed: 5)));
        Assert.NotEqual(Origins(Plan(seed: 5)), Origins(Plan(seed: 6)));
    }

    [Fact]
    public void Sequences_that_cannot_be_used_are_left_out_and_do_not_move_windows()
    {
        bool Keep(TrainingSequence sequence) => !sequence.Origin.EndsWith('7');
        var (plan, positions) = (Plan(keep: Keep), Plan(keep: Keep).From(StreamPosition.Start).ToList());
        Assert.Equal(630, Origins(plan).Sum(batch => batch.Length));
        var second = positions.Index().First(one => one.Item.Next == new StreamPosition(1, 0)).Index;
        Assert.Equal(Origins(plan).Skip(second + 1), Origins(plan, new StreamPosition(1, 0)));
    }

    [Fact]
    public void A_window_without_any_usable_sequence_ends_the_run()
    {
        var fault = Assert.Throws<CheckpointException>(() => Origins(Plan(keep: _ => false)));
        Assert.Contains("None of 256 samples in a row can be used.", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Padding_counts_in_no_loss_and_pictures_are_numbered_through()
    {
        var two = Sequence(1) with
        {
            Ids = [1, 2], Labels = [TrainingBatch.Ignored, 2], Pictures = [.. Sequence(1).Pictures, .. Sequence(2).Pictures],
        };
        var three = Sequence(2) with { Ids = [4, 5, 6], Labels = [TrainingBatch.Ignored, 5, 6] };
        var batch = BatchPlan.Pad([two, three], padding: 9);
        Assert.Equal([[1, 2, 9], [4, 5, 6]], batch.Ids);
        Assert.Equal([(0L, 2L), (3L, 5L), (4L, 6L)], batch.Places);
        Assert.Equal([[0, 1], [2]], batch.Pictures);
    }
}
