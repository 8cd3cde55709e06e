using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Cli.Tests.Running;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Cli.Tests.Caching;

/// <summary>Tests <c>flamingo cache</c> with a fake gateway.</summary>
public sealed class CacheTests : IAsyncLifetime
{
    private readonly TemporaryFolder _folder = new();
    private FakeGateway _gateway = null!;

    private string[] Server => ["--server", _gateway.Address];

    public async ValueTask InitializeAsync() => _gateway = await FakeGateway.StartAsync();

    public async ValueTask DisposeAsync()
    {
        _folder.Dispose();
        await _gateway.DisposeAsync();
    }

    [Fact]
    public async Task Statistics_are_a_table_and_an_object()
    {
        _gateway.Statistics = new V1.CacheStatistics
        {
            Memory = new() { Entries = 1234, Bytes = 3 << 20, MaxBytes = 256 << 20, Hits = 30, Misses = 10, Evictions = 7, Rejections = 2 },
            Redis = new() { Reachable = true, Hits = 4, Misses = 6, Failures = 1, Corrupt = 3, BytesRead = 2048, BytesWritten = 4096 },
            Encoded = 6, Waits = 9, SharedWaits = 8,
            Saved = Google.Protobuf.WellKnownTypes.Duration.FromTimeSpan(TimeSpan.FromSeconds(12.5)),
        };
        var table = (await FlamingoCommand.RunAsync(["cache", "stats", .. Server])).MustReturn(0).Output;
        foreach (var part in new[] { "1,234", "3.0 MiB of 256.0 MiB", "75.0 %", "40.0 %", "reachable",
            "6 pictures were encoded. 9 lookups waited", "8 for one in another gateway", "saved 12.5 s" })
                Assert.Contains(part, table, StringComparison.Ordinal);

        using var json = JsonDocument.Parse((await FlamingoCommand.RunAsync(["cache", "stats", "--json", .. Server])).MustReturn(0).Output);
        Assert.Equal(["memory", "redis", "encoded", "waits", "shared_waits", "saved_ms"],
            json.RootElement.EnumerateObject().Select(member => member.Name));
        Assert.Equal("""{"entries":1234,"bytes":3145728,"max_bytes":268435456,"hits":30,"misses":10,"evictions":7,"rejections":2}""",
            json.RootElement.GetProperty("memory").GetRawText());
        Assert.Equal("""{"reachable":true,"hits":4,"misses":6,"failures":1,"corrupt":3,"bytes_read":2048,"bytes_written":4096}""",
            json.RootElement.GetProperty("redis").GetRawText());
        Assert.Equal(12_500, json.RootElement.GetProperty("saved_ms").GetDouble());

        _gateway.Statistics = new V1.CacheStatistics { Memory = new() };
        Assert.Contains("off", (await FlamingoCommand.RunAsync(["cache", "stats", .. Server])).MustReturn(0).Output,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Clearing_says_what_it_removed()
    {
        Assert.Equal("Removed 1,234 entries from memory and 5 from Redis.\n",
            (await FlamingoCommand.RunAsync(["cache", "clear", .. Server])).MustReturn(0).Output.ReplaceLineEndings("\n"));
        Assert.True(_gateway.Cleared);
    }

    [Fact]
    public async Task A_folder_is_sent_once_and_a_second_run_sends_nothing()
    {
        for (var picture = 0; picture < 20; picture++) Write($"{(picture % 2 == 0 ? "deep/er/" : "")}{picture}.PNG", $"picture {picture}");
        Write("notes.txt", "no picture");
        string[] warm = ["cache", "warm", _folder.Path, "--batch", "3", "--concurrency", "2", "--tenant", "team-a", "--pooled", .. Server];
        var first = (await FlamingoCommand.RunAsync(warm)).MustReturn(0);
        Assert.Equal("20 pictures: 20 sent, 0 held already, 0 bad.", first.Output.Trim());
        Assert.Contains("100 %", first.Error, StringComparison.Ordinal);
        Assert.Equal((20, true), (_gateway.Held.Keys.Count(key => key.Tenant == "team-a"), _gateway.AlwaysPooled));
        Assert.Equal(3, _gateway.Sent.Max());

        _gateway.Sent.Clear();
        Assert.Equal("20 pictures: 0 sent, 20 held already, 0 bad.", (await FlamingoCommand.RunAsync(warm)).MustReturn(0).Output.Trim());
        Assert.Equal(0, _gateway.Sent.Sum());

        Write("new.jpg", "a new one");
        Assert.Equal("21 pictures: 1 sent, 20 held already, 0 bad.", (await FlamingoCommand.RunAsync(warm)).MustReturn(0).Output.Trim());
        Assert.Equal(1, _gateway.Sent.Sum());
    }

    [Fact]
    public async Task A_list_names_pictures_beside_it_and_bad_ones_are_named_at_the_end_and_keep_nobody_back()
    {
        Write("pictures/a.png", "a");
        Write("pictures/b.png", "X is no picture");
        Write("pictures/c.png", "c");
        Write("pictures/copy-of-a.png", "a");
        var list = Write("list.jsonl", """
            {"picture": "pictures/a.png", "text": "ignored"}
            {"picture": "pictures/b.png"}
            {"picture": "pictures/gone.png"}
            {"picture": "pictures/c.png"}
            {"picture": "pictures/copy-of-a.png"}
            {"picture": "pictures/a.png"}
            """);
        var finished = (await FlamingoCommand.RunAsync(["cache", "warm", list, .. Server])).MustReturn(1);
        Assert.Equal("5 pictures: 3 sent, 0 held already, 2 bad.", finished.Output.Trim());
        var bad = finished.Error.Split('\n').Where(line => line.StartsWith("flamingo: ", StringComparison.Ordinal)).ToArray();
        Assert.Equal(2, bad.Length);
        Assert.Contains("b.png: This is no picture. Send one.", bad[0], StringComparison.Ordinal);
        Assert.Contains("gone.png", bad[1], StringComparison.Ordinal);
        Assert.Equal(2, _gateway.Held.Count);

        Assert.Contains("line 2: the member 'picture'",
            (await FlamingoCommand.RunAsync(
                ["cache", "warm", Write("wrong.jsonl", "{\"picture\": \"a.png\"}\n{\"text\": \"a\"}"), .. Server])).MustReturn(2).Error,
                StringComparison.Ordinal);
        Assert.Contains("holds no picture",
            (await FlamingoCommand.RunAsync(
                ["cache", "warm", Directory.CreateDirectory(_folder.File("empty")).FullName, .. Server])).MustReturn(2).Error,
                StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_busy_server_is_waited_for_as_long_as_it_says()
    {
        Write("a.png", "a");
        var calls = 0;
        _gateway.Encoding = () =>
        {
            if (Interlocked.Increment(ref calls) <= 3)
                throw new FlamingoException(FlamingoErrorKind.Overloaded, "Full.") { RetryAfter = TimeSpan.FromMilliseconds(1) };
        };
        Assert.Equal("1 pictures: 1 sent, 0 held already, 0 bad.",
            (await FlamingoCommand.RunAsync(["cache", "warm", _folder.Path, .. Server])).MustReturn(0).Output.Trim());
        Assert.Equal(5, calls); // three overloaded calls, then the call by id, then the call with the picture
    }

    [Fact]
    public async Task A_run_that_breaks_off_says_how_far_it_came_and_the_next_goes_on_there()
    {
        for (var picture = 0; picture < 10; picture++) Write($"{picture}.png", $"picture {picture}");
        string[] warm = ["cache", "warm", _folder.Path, "--batch", "2", "--concurrency", "1", .. Server];
        _gateway.Encoding = () =>
        {
            if (_gateway.Held.Count >= 4) throw new FlamingoException(FlamingoErrorKind.Unavailable, "The vision encoder is gone.");
        };
        var broken = (await FlamingoCommand.RunAsync(warm)).MustReturn(1);
        Assert.Equal("10 pictures: 4 sent, 0 held already, 0 bad, 6 left. Run the command again.", broken.Output.Trim());
        Assert.Contains("The vision encoder is gone.", broken.Error, StringComparison.Ordinal);

        using var interrupt = new CancellationTokenSource();
        _gateway.Encoding = () =>
        {
            if (_gateway.Held.Count >= 8) interrupt.Cancel(); // the same as Ctrl-C
        };
        var (output, error) = (new StringWriter(), new StringWriter());
        Assert.Equal(130, await CommandLine.RunAsync(warm, output, error, interrupt.Token));
        Assert.Contains("4 held already", output.ToString(), StringComparison.Ordinal);
        Assert.Contains("left. Run the command again", output.ToString(), StringComparison.Ordinal);
        Assert.Contains("flamingo: cancelled.", error.ToString(), StringComparison.Ordinal);

        _gateway.Encoding = () => { };
        Assert.Contains("10 pictures: ", (await FlamingoCommand.RunAsync(warm)).MustReturn(0).Output, StringComparison.Ordinal);
        Assert.Equal(10, _gateway.Held.Count);
    }

    private string Write(string name, string content)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_folder.File(name))!);
        return _folder.Write(name, content);
    }
}
