using Flamingo.Checkpoints;
using Flamingo.Training.Data;

namespace Flamingo.Training.Tests.Data;

/// <summary>Order, seeds, resumption and reading ahead.</summary>
public sealed class StreamTests(Models models)
{
    private const int Count = 60;

    private static readonly DataOptions Buffered = new() { ShuffleBuffer = 20 };

    [Fact]
    public void Each_epoch_holds_every_sample_once_in_an_order_of_its_own()
    {
        var origins = new Stream(models, Shards(), Buffered with { SingleKept = 1 }).Take(2 * Count).ConvertAll(one => one.Origin);
        var (first, second) = (origins[..Count], origins[Count..]);
        Assert.Equal(Count, first.Distinct().Count());
        Assert.NotEqual(first, second);
        Assert.Equal(first.Order(StringComparer.Ordinal), second.Order(StringComparer.Ordinal));
        Assert.NotEqual(first.Order(StringComparer.Ordinal), first);
    }

    [Fact]
    public void The_seed_decides_the_order()
    {
        var spec = Shards();
        List<string> Read(ulong seed) => new Stream(models, spec, Buffered, seed: seed).Take(100).ConvertAll(Described);
        Assert.Equal(Read(1), Read(1));
        Assert.NotEqual(Read(1), Read(2));
    }

    [Fact]
    public void A_buffer_that_is_full_of_bytes_gives_samples_too()
    {
        var spec = Shards();
        var stream = new Stream(models, spec, Buffered with { ShuffleBytes = 1, SingleKept = 1 });
        var origins = stream.Take(Count).ConvertAll(one => one.Origin);
        Assert.Equal(Count, origins.Distinct().Count());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(37)]
    [InlineData(50)]
    [InlineData(173)]
    [InlineData(1234)]
    public void Skipping_gives_the_same_continuation(int skip)
    {
        // Documents with one picture are used in half of the epochs, and some samples are broken.
        var spec = Shards();
        var whole = new Stream(models, spec, Buffered).Take(skip + 80);
        var resumed = new Stream(models, spec, Buffered);
        Assert.Equal(whole[skip..].ConvertAll(Described), resumed.Take(80, skip).ConvertAll(Described));
        Assert.Equal(2, resumed.Report.BrokenTotal);
    }

    [Fact]
    public void Examples_are_skipped_too()
    {
        var folder = models.NewFolder();
        File.WriteAllBytes(Path.Combine(folder, "a.png"), [1]);
        var path = Shard.Lines(folder, "a.jsonl", Enumerable.Range(0, 50).Select(
            index => $$"""{"segments": [{"picture": "a.png"}, {"text": "number {{index}}"}]}"""));
        var whole = new Stream(models, path, Buffered).Take(200).ConvertAll(Described);
        Assert.Equal(50, whole.Take(50).Distinct().Count());
        Assert.Equal(whole[130..], new Stream(models, path, Buffered).Take(70, skip: 130).ConvertAll(Described));
    }

    [Fact]
    public void A_cancelled_stream_stops()
    {
        using var cancelled = new CancellationTokenSource();
        var encoder = new SequenceEncoder(models.DirectoryOf("shapes").Config, models.TokenizerOf("shapes"), Buffered);
        var stream = new DataStream(DataSpec.Parse(Shards()), encoder, Buffered, 1, new DataReport(Buffered));
        using var sequences = stream.Read(0, cancelled.Token).GetEnumerator();
        Assert.True(sequences.MoveNext());
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() => sequences.MoveNext());
    }

    [Fact]
    public void Reading_ahead_keeps_the_order_the_bound_and_the_failure()
    {
        var (made, most) = (0, 0);
        IEnumerable<int> Items()
        {
            for (var item = 0; item < 1000; item++)
            {
                Interlocked.Increment(ref made);
                yield return item;
            }

            throw new CheckpointException("broken");
        }

        var read = new List<int>();
        var failure = Assert.Throws<CheckpointException>(() =>
        {
            foreach (var item in Prefetcher.Ahead(Items(), 4))
            {
                most = Math.Max(most, Volatile.Read(ref made) - read.Count);
                read.Add(item);
            }
        });
        Assert.Equal("broken", failure.Message);
        Assert.Equal(Enumerable.Range(0, 1000), read);
        Assert.InRange(most, 1, 4 + 2); // those that wait, the one that was read, and the one that waits for a place
    }

    [Fact]
    public void Items_that_were_read_ahead_for_nobody_are_handed_back()
    {
        var (made, unused) = (0, new List<int>());
        IEnumerable<int> Endless()
        {
            while (true) yield return made++;
        }

        Assert.Equal([0, 1, 2], Prefetcher.Ahead(Endless(), 4, unused.Add).Take(3));
        Assert.Equal(Enumerable.Range(3, made - 3), unused.Order());
    }

    private static string Described(TrainingSequence sequence) =>
        $"{sequence.Origin} {string.Join(',', sequence.Ids)} {string.Join(',', sequence.Pictures.Select(one => one.Flipped))}";

    // Three shards: pairs, documents and a few broken samples.
    private string Shards()
    {
        var folder = models.NewFolder();
        Shard.Write(folder, "0.tar", Enumerable.Range(0, 30).SelectMany(one => Shard.Pair($"pair{one}", $"number {one}", one)));
        Shard.Write(folder, "1.tar", Enumerable.Range(0, 30).Select(one => one % 3 == 0
            ? Shard.Document($"document{one}", ["one", "two"], (one, 0, 0.5), (one, 1, 0.5))
            : Shard.Document($"document{one}", ["single"], (one, 0, 0.5))));
        Shard.Write(folder, "2.tar", [Shard.Text("lonely.txt", "a ring"), Shard.Text("broken.json", "{")]);
        return $"{folder}/{{0..2}}.tar";
    }
}
