using System.Text.Json;
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
    public async Task Answers_that_come_early_wait_for_those_before_them()
    {
        using (var output = Open(inOrder: true))
        {
            Assert.Equal([1, 2, 3], await MissingAsync(output, 3));
            output.Add(3, Line(3));
            output.Add(2, Line(2));
            Assert.Equal(0, new FileInfo(File).Length);
            output.Add(1, Line(1));
        }

        Assert.Equal([Line(1), Line(2), Line(3)], System.IO.File.ReadAllLines(File));
    }

    [Fact]
    public async Task As_they_come_nothing_waits()
    {
        using (var output = Open(inOrder: false))
        {
            await MissingAsync(output, 2);
            output.Add(2, Line(2));
            output.Add(1, Line(1));
        }

        Assert.Equal([Line(2), Line(1)], System.IO.File.ReadAllLines(File));
    }

    [Theory]
    [InlineData("")]
    [InlineData("{\"line\": 3, \"te")]
    [InlineData("{\"line\":3,\"text\":\"3\"}")] // whole, but without its end of line
    public async Task A_second_start_asks_what_has_no_whole_line(string cut)
    {
        using (var output = Open(inOrder: true))
        {
            await MissingAsync(output, 3);
            output.Add(1, Line(1));
            output.Add(2, Line(2));
        }

        System.IO.File.AppendAllText(File, cut);
        using (var output = Open(inOrder: true))
        {
            Assert.Equal(2, output.Known);
            Assert.Equal([3, 4], await MissingAsync(output, 4));
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
        var refused = Assert.Throws<BenchmarkException>(() => OrderedOutput.Open(File, true, 4, other, restart: false, IsFailure));
        Assert.Contains("input differ", refused.Message, StringComparison.Ordinal);
        Assert.Contains("--restart", refused.Message, StringComparison.Ordinal);
        using (OrderedOutput.Open(File, true, 4, other, restart: true, IsFailure))
        {
        }

        System.IO.File.WriteAllText(Path.Combine(_folder, "mine.txt"), "a file of somebody\n");
        Assert.Contains("no run wrote it", Assert.Throws<BenchmarkException>(
            () => OrderedOutput.Open(Path.Combine(_folder, "mine.txt"), true, 4, Identity, restart: false, IsFailure)).Message,
                StringComparison.Ordinal);
        Assert.Equal("a file of somebody\n", System.IO.File.ReadAllText(Path.Combine(_folder, "mine.txt")));
    }

    [Fact(Timeout = 60_000)]
    public async Task One_slow_answer_holds_back_the_reading_and_not_the_memory()
    {
        var output = OrderedOutput.Open(File, inOrder: true, mostAhead: 3, Identity, restart: false, IsFailure);
        var read = 0;
        var reading = Task.Run(async () =>
        {
            await foreach (var _ in output.MissingAsync(Enumerable.Range(1, 10).Select(line => (long)line), line => line,
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

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Lines_that_failed_are_asked_again_and_their_errors_go(bool inOrder)
    {
        using (var output = Open(inOrder))
        {
            await MissingAsync(output, 3);
            foreach (var line in new[] { Line(1), Failure(2), Line(3) }) output.Add(Number(line), line);
            output.Complete();
        }

        using (var killed = Open(inOrder))
        {
            Assert.Equal((2, 1), (killed.Known, killed.Failed));
            Assert.Equal([2, 4], await MissingAsync(killed, 4));
            killed.Add(2, Failure(2));
        } // killed before line 4: Complete is not called

        Assert.Equal(4, System.IO.File.ReadAllLines(File).Length);
        using (var output = Open(inOrder))
        {
            Assert.Equal([2, 4], await MissingAsync(output, 4));
            output.Add(2, Line(2));
            output.Add(4, Line(4));
            output.Complete();
        }

        string[] expected = inOrder ? [Line(1), Line(2), Line(3), Line(4)] : [Line(1), Line(3), Line(2), Line(4)];
        Assert.Equal(expected, System.IO.File.ReadAllLines(File));
        using var whole = Open(inOrder);
        Assert.Equal((4, 0), (whole.Known, whole.Failed));
        Assert.Empty(Directory.GetFiles(_folder, "*.tidy"));
    }

    [Fact]
    public async Task A_run_that_began_as_they_come_ends_in_order_when_it_is_asked_for()
    {
        using (var output = Open(inOrder: false))
        {
            await MissingAsync(output, 3);
            foreach (var line in new[] { 3, 1 }) output.Add(line, Line(line));
        }

        using (var output = Open(inOrder: true))
        {
            Assert.Equal([2], await MissingAsync(output, 3));
            output.Add(2, Line(2));
            output.Complete();
        }

        Assert.Equal([Line(1), Line(2), Line(3)], System.IO.File.ReadAllLines(File));
    }

    [Fact]
    public void What_is_known_later_must_be_the_same_too()
    {
        using (var output = Open(inOrder: true)) output.Confirm("model", "one");
        using (var output = Open(inOrder: true))
        {
            output.Confirm("model", "one");
            Assert.Contains("model differ", Assert.Throws<BenchmarkException>(() => output.Confirm("model", "two")).Message,
                StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_refused_file_is_not_kept_open()
    {
        using (Open(inOrder: true))
        {
        }

        System.IO.File.WriteAllText(File, "damaged\n");
        for (var start = 0; start < 2; start++)
            Assert.Contains("line 1", Assert.Throws<BenchmarkException>(() => Open(inOrder: true)).Message, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_defect_while_the_reading_waits_ends_the_run()
    {
        using var output = OrderedOutput.Open(File, inOrder: true, mostAhead: 2, Identity, restart: false, IsFailure);
        var sender = new RequestSender(new SendingOptions(3, TimeSpan.Zero), TimeProvider.System);
        var (first, second) = (new TaskCompletionSource(), new TaskCompletionSource());
        async Task<int> Ask(long line, CancellationToken cancellation)
        {
            (line == 1 ? first : second).SetResult();
            await Task.WhenAll(first.Task, second.Task); // a third sender waits, because two lines are ahead
            if (line == 2) throw new InvalidOperationException("a defect");
            await Task.Delay(Timeout.Infinite, cancellation);
            return 0;
        }

        var lines = output.MissingAsync(Enumerable.Range(1, 10).Select(line => (long)line), line => line);
        await Assert.ThrowsAnyAsync<InvalidOperationException>(async () =>
        {
            await foreach (var _ in sender.SendAsync(lines, Ask, TestContext.Current.CancellationToken))
            {
            }
        });
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private OrderedOutput Open(bool inOrder) => OrderedOutput.Open(File, inOrder, mostAhead: 8, Identity, restart: false, IsFailure);

    private static async Task<List<long>> MissingAsync(OrderedOutput output, int lines) => await output.MissingAsync(
        Enumerable.Range(1, lines).Select(line => (long)line), line => line, TestContext.Current.CancellationToken).ToListAsync();

    private static bool IsFailure(JsonElement answer) => answer.TryGetProperty("error", out _);

    private static string Failure(long number) => $"{{\"line\":{number},\"error\":\"{number}\"}}";

    private static long Number(string line) => JsonDocument.Parse(line).RootElement.GetProperty("line").GetInt64();

    private static string Line(long number) => $"{{\"line\":{number},\"text\":\"{number}\"}}";

    private static class TestSync
    {
        public static async Task UntilAsync(Func<bool> isTrue)
        {
            while (!isTrue()) await Task.Yield();
        }
    }
}
