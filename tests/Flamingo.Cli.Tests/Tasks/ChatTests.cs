using System.Text.Json;
using Flamingo.Cli.Running;
using Flamingo.Cli.Tests.Running;
using Flamingo.Testing;

namespace Flamingo.Cli.Tests.Tasks;

/// <summary>Tests conversations with a model whose chat template is the question template of the default model.</summary>
public sealed class ChatTests : IDisposable
{
    private const string Star = "is there a yellow star?", HowMany = "how many shapes are there?";

    private readonly TemporaryFolder _folder = new();

    public ChatTests() => ChatCheckpoint.Write(_folder.Path);

    private static (string Shot, string Query) Pictures => (Examples.Prompt("vqa-shot-1.png"), Examples.Prompt("vqa-query.png"));

    // The first reply is "no", so the second reply must equal the original code's answer after that example.
    private static string Second => Examples.Golden("vqa-query.png", 1).Text;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Piped_lines_are_turns_and_replies_are_lines()
    {
        var said = (await RunAsync($"{Star}\n\n/picture {Pictures.Query}\n{HowMany}\n", "--picture", Pictures.Shot)).MustReturn(0);
        Assert.Equal(["no", Second], Lines(said.Output));
        var ends = Lines(said.Error);
        Assert.Equal(2, ends.Length); // no prompt signs and no greeting
        Assert.DoesNotContain("cached", ends[0], StringComparison.Ordinal);
        Assert.Contains("cached), stop; pictures: 1 memory, 1 encoded", ends[1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_replies_alike_and_the_second_turn_reuses_the_first()
    {
        await using var server = new RunningServer { Arguments = ["--model", _folder.Path] };
        await server.InitializeAsync();
        var said = (await FlamingoCommand.RunAsync(Piped($"{Star}\n/picture {Pictures.Query}\n{HowMany}"), "chat", "--server",
            server.Address, "--json", "--picture", Pictures.Shot)).MustReturn(0);
        var replies = Lines(said.Output).Select(line => JsonDocument.Parse(line).RootElement).ToList();
        Assert.Equal(["no", Second], replies.Select(reply => reply.GetProperty("text").GetString()));
        Assert.All(replies, reply => Assert.Equal(
            ["text", "ids", "finish_reason", "prompt_tokens", "pictures", "cache", "timings", "cached_tokens"],
            reply.EnumerateObject().Select(member => member.Name)));
        Assert.Equal(0, replies[0].GetProperty("cached_tokens").GetInt32());
        Assert.True(replies[1].GetProperty("cached_tokens").GetInt32() > 0);
        Assert.Equal([1, 2], replies.Select(reply => reply.GetProperty("pictures").GetArrayLength()));
    }

    /// <summary>The first reply has no picture to look at, so it has no sheet.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Each_reply_has_a_sheet_of_what_its_tokens_looked_at(bool isServed)
    {
        await using var server = new RunningServer { Arguments = ["--model", _folder.Path] };
        if (isServed) await server.InitializeAsync();
        string[] where = isServed ? ["--server", server.Address] : ["--model", _folder.Path];
        var sheet = _folder.File("maps.png");
        var lines = $"hello?\n/picture {Pictures.Shot}\n{Star}\n/picture {Pictures.Query}\n{HowMany}\n";
        var said = (await FlamingoCommand.RunAsync(Piped(lines), ["chat", .. where, "--attention", sheet])).MustReturn(0);
        var replies = Lines(said.Output);
        Assert.Equal(3, replies.Length);
        Assert.Contains($"{_folder.File("maps-1.png")} is not written", said.Error, StringComparison.Ordinal);
        foreach (var number in new[] { 2, 3 })
        {
            Assert.True(File.Exists(_folder.File($"maps-{number}.png")));
            Assert.Contains(
                $"[{_folder.File($"maps-{number}.png")}: {replies[number - 1]} | <|endofchunk|>]", said.Error, StringComparison.Ordinal);
        }

        Assert.DoesNotContain("[token", said.Error, StringComparison.Ordinal); // log-probabilities were not asked for
        Assert.False(File.Exists(sheet));
    }

    [Fact]
    public async Task A_terminal_is_greeted_told_whose_turn_it_is_and_forgiven()
    {
        var lines = $"/picture nowhere.png\n/help\n/picture {_folder.Write("broken.png", "no picture")}\nwhat?\n/picture "
            + $"{Pictures.Shot}\n{Star}\n/picture {Pictures.Query}\n";
        var said = (await FlamingoCommand.RunAsync(new UserInput(new StringReader(lines), IsTerminal: true), "chat", "--model",
            _folder.Path)).MustReturn(0);
        Assert.Equal(["no"], Lines(said.Output)); // rejected turns are not part of the conversation
        Assert.Equal(8, said.Error.Split("> ").Length - 1);
        foreach (var told in new[] { "Ctrl-D ends the conversation", "nowhere.png does not exist",
            "'/help' is not a command", "broken.png: The f", "no turn followed the last picture" })
            Assert.Contains(told, said.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task In_a_pipe_what_is_wrong_ends_it()
    {
        var unknown = (await RunAsync($"/help\n{Star}\n")).MustReturn(2);
        Assert.Contains("The only command is '/picture FILE'", unknown.Error, StringComparison.Ordinal);
        Assert.Empty(unknown.Output);
        Assert.Contains("broken.png: The f",
            (await RunAsync($"/picture {_folder.Write("broken.png", "no picture")}\nwhat?\n{Star}\n")).MustReturn(1).Error,
            StringComparison.Ordinal);
        Assert.Contains("standard input holds the turns", (await RunAsync("/picture -\n")).MustReturn(2).Error, StringComparison.Ordinal);
        Assert.Contains("nowhere.png does not exist", (await RunAsync(Star, "--picture", "nowhere.png")).MustReturn(2).Error,
            StringComparison.Ordinal);
        (await RunAsync(Star, "--support-set", "words")).MustReturn(2); // chat does not take examples
        (await RunAsync(Star, "--server", "http://localhost:1")).MustReturn(2);
        Assert.Contains("--attention", (await RunAsync(Star, "--attention", "maps.txt")).MustReturn(2).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_model_without_a_template_is_refused_before_anybody_says_anything()
    {
        // the default model has no chat template
        var refused = (await FlamingoCommand.RunAsync(new UserInput(TextReader.Null, IsTerminal: true), "chat")).MustReturn(1);
        Assert.Contains("prompts.chat", refused.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("Type a message", refused.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task It_reads_standard_input()
    {
        var said = (await FlamingoCommand.SpawnAsync(_folder.Path, $"{Star}\n",
            ["chat", "--model", ".", "--picture", Pictures.Shot])).MustReturn(0);
        Assert.Equal(["no"], Lines(said.Output));
        Assert.DoesNotContain("> ", said.Error, StringComparison.Ordinal);
        Assert.Empty((await FlamingoCommand.SpawnAsync(_folder.Path, "", ["chat", "--model", "."])).MustReturn(0).Output);
    }

    [Fact]
    public async Task A_line_that_is_waited_for_does_not_hold_up_who_leaves()
    {
        using var leaving = new CancellationTokenSource();
        using var lines = new Silence();
        var running = CommandLine.RunAsync(["chat", "--model", _folder.Path], TextWriter.Null, TextWriter.Null, leaving.Token,
            new UserInput(lines, IsTerminal: true));
        await lines.Asked.WaitAsync(TestContext.Current.CancellationToken);
        await leaving.CancelAsync();
        Assert.Equal(130, await running);
    }

    private static UserInput Piped(string lines) => new(new StringReader(lines), IsTerminal: false);

    private static string[] Lines(string text) => text.Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries);

    private Task<Finished> RunAsync(string lines,
        params string[] options) => FlamingoCommand.RunAsync(Piped(lines), ["chat", "--model", _folder.Path, .. options]);

    /// <summary>An input that never returns a line.</summary>
    private sealed class Silence : TextReader
    {
        private readonly TaskCompletionSource _asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly ManualResetEventSlim _gone = new();

        public Task Asked => _asked.Task;

        public override string? ReadLine()
        {
            _asked.TrySetResult();
            _gone.Wait();
            return null;
        }

        protected override void Dispose(bool disposing) => _gone.Set();
    }
}
