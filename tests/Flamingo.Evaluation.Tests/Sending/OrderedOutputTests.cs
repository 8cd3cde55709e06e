using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Sending;
using Xunit;

namespace Flamingo.Evaluation.Tests.Sending;

/// <summary>Answers in the order of their lines, and a second start that goes on where the first was killed.</summary>
public sealed class OrderedOutputTests : IDisposable
{
    private static readonly Dictionary<string, string> Identity = new() { ["input"] = "abc" };

    private readonly string _folder = Directory.CreateTempSubdirectory().FullName;

    private string File => Path.Combine(_folder, "answers.jsonl");

    [Fact]
    public void Answers_that_come_early_wait_for_those_before_them()
    {
        using (var output = Open(inOrder: true))
        {
            Assert.Equal([1, 2, 3], output.Missing<long>([1, 2, 3], line => line, default).ToArray());
            output.Add(3, Line(3));
            output.Add(2, Line(2));
            Assert.Equal(0, new FileInfo(File).Length);
            output.Add(1, Line(1));
        }

        Assert.Equal([Line(1), Line(2), Line(3)], System.IO.File.ReadAllLines(File));
    }

    [Fact]
    public void As_they_come_nothing_waits()
    {
        using (var output = Open(inOrder: false))
        {
            _ = output.Missing<long>([1, 2], line => line, default).ToArray();
            output.Add(2, Line(2));
            output.Add(1, Line(1));
        }

        Assert.Equal([Line(2), Line(1)], System.IO.File.ReadAllLines(File));
    }

    [Theory]
    [InlineData("")]
    [InlineData("{\"line\": 3, \"te")]
    [InlineData("{\"line\":3,\"text\":\"3\"}")] // whole, but without its end of line
    public void A_second_start_asks_what_has_no_whole_line(string cut)
    {
        using (var output = Open(inOrder: true))
        {
            _ = output.Missing<long>([1, 2, 3], line => line, default).ToArray();
            output.Add(1, Line(1));
            output.Add(2, Line(2));
        }

        System.IO.File.AppendAllText(File, cut);
        using (var output = Open(inOrder: true))
        {
            Assert.Equal(2, output.Known);
            Assert.Equal([3, 4], output.Missing<long>([1, 2, 3, 4], line => line, default).ToArray());
            output.Add(3, Line(3));
            output.Add(4, Line(4));
        }

        Assert.Equal([Line(1), Line(2), Line(3), Line(4)], System.IO.File.ReadAllLines(File));
    }

    [Fact]
    public void Answers_of_another_run_are_not_mixed_in()
    {
        using (Open(inOrder: true))
        {
        }

        var other = new Dictionary<string, string> { ["input"] = "xyz" };
        var refused = Assert.Throws<BenchmarkException>(() => OrderedOutput.Open(File, true, 4, other, restart: false));
        Assert.Contains("input differ", refused.Message, StringComparison.Ordinal);
        Assert.Contains("--restart", refused.Message, StringComparison.Ordinal);
        using (OrderedOutput.Open(File, true, 4, other, restart: true))
        {
        }

        System.IO.File.WriteAllText(Path.Combine(_folder, "mine.txt"), "a file of somebody\n");
        Assert.Contains("no run wrote it", Assert.Throws<BenchmarkException>(
            () => OrderedOutput.Open(Path.Combine(_folder, "mine.txt"), true, 4, Identity, restart: false)).Message,
                StringComparison.Ordinal);
        Assert.Equal("a file of somebody\n", System.IO.File.ReadAllText(Path.Combine(_folder, "mine.txt")));
    }

    [Fact(Timeout = 60_000)]
    public async Task One_slow_answer_holds_back_the_reading_and_not_the_memory()
    {
        var output = OrderedOutput.Open(File, inOrder: true, mostAhead: 3, Identity, restart: false);
        var read = 0;
        var reading = Task.Run(() =>
        {
            foreach (var _ in output.Missing(Enumerable.Range(1, 10).Select(line => (long)line), line => line,
                TestContext.Current.CancellationToken))
                Interlocked.Increment(ref read);
        }, TestContext.Current.CancellationToken);
        await TestSync.UntilAsync(() => Volatile.Read(ref read) == 3);
        output.Add(2, Line(2));
        output.Add(3, Line(3));
        Assert.False(reading.IsCompleted);
        Assert.Equal(3, Volatile.Read(ref read));
        output.Add(1, Line(1));
        for (var line = 4; line <= 10; line++)
        {
            var most = line;
            await TestSync.UntilAsync(() => Volatile.Read(ref read) >= most);
            output.Add(line, Line(line));
        }

        await reading;
        output.Dispose();
        Assert.Equal(10, System.IO.File.ReadAllLines(File).Length);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private OrderedOutput Open(bool inOrder) => OrderedOutput.Open(File, inOrder, mostAhead: 8, Identity, restart: false);

    private static string Line(long number) => $"{{\"line\":{number},\"text\":\"{number}\"}}";

    private static class TestSync
    {
        public static async Task UntilAsync(Func<bool> isTrue)
        {
            while (!isTrue()) await Task.Yield();
        }
    }
}
