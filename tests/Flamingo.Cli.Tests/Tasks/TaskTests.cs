using System.Text.Json;
using Flamingo.Cli.Tests.Running;

namespace Flamingo.Cli.Tests.Tasks;

public sealed class TaskTests(RunningServer server) : IClassFixture<RunningServer>
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Tasks_say_here_and_at_a_server_what_the_original_says_to_the_whole_prompt(bool remote)
    {
        string[] where = remote ? ["--server", server.Address] : [];
        var caption = Examples.Prompt("caption-query.png");
        var said = (await FlamingoCommand.RunAsync(["caption", caption, "--no-zero-shot", .. where])).MustReturn(0);
        Assert.Equal(Examples.Golden("caption-query.png", 0).Text + Environment.NewLine, said.Output);
        Assert.Contains("stop; pictures: 1", said.Error, StringComparison.Ordinal);

        var answer = (await FlamingoCommand.RunAsync(
            ["answer", Examples.Prompt("vqa-query.png"), "how many shapes are there?", "--example", Examples.Prompt("vqa-shot-1.png"),
                "is there a yellow star?", "no", "--json", .. where])).MustReturn(0);
        using var json = JsonDocument.Parse(answer.Output);
        Assert.Equal(["text", "ids", "finish_reason", "prompt_tokens", "pictures", "cache", "timings"],
            json.RootElement.EnumerateObject().Select(member => member.Name));
        Assert.Equal(Examples.Golden("vqa-query.png", 1).Text, json.RootElement.GetProperty("text").GetString());

        var labels = (await FlamingoCommand.RunAsync(
            ["classify", caption, "--label", "three hexagons", "-l", Examples.Golden("caption-query.png", 0).Text, "--scoring", "sum",
                .. where])).MustReturn(0);
        Assert.EndsWith(Examples.Golden("caption-query.png", 0).Text, labels.Output.Split(Environment.NewLine)[0],
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_sampled_answer_tells_its_seed_and_can_be_repeated()
    {
        string[] caption = ["caption", Examples.Prompt("caption-query.png"), "--temperature", "2", "--server", server.Address];
        using var drawn = JsonDocument.Parse((await FlamingoCommand.RunAsync([.. caption, "--json"])).MustReturn(0).Output);
        var seed = drawn.RootElement.GetProperty("seed").GetUInt64();
        var repeated = (await FlamingoCommand.RunAsync([.. caption, "--json", "--seed", $"{seed}"])).MustReturn(0);
        using var again = JsonDocument.Parse(repeated.Output);
        Assert.Equal(drawn.RootElement.GetProperty("text").GetString(), again.RootElement.GetProperty("text").GetString());
        Assert.Equal(seed, again.RootElement.GetProperty("seed").GetUInt64());
        Assert.Matches("; seed [0-9]+]", (await FlamingoCommand.RunAsync(caption)).MustReturn(0).Error);
    }

    [Fact]
    public async Task Wrong_usage_is_said_before_anything_is_loaded()
    {
        var caption = Examples.Prompt("caption-query.png");
        (await FlamingoCommand.RunAsync("caption", "nowhere.png")).MustReturn(2);
        (await FlamingoCommand.RunAsync("classify", caption)).MustReturn(2);
        (await FlamingoCommand.RunAsync("classify", caption, "-l", "a", "--ensemble", "3")).MustReturn(2);
        Assert.Contains("a picture, a question and an answer",
            (await FlamingoCommand.RunAsync("answer", caption, "why?", "--example", caption, "why?")).MustReturn(2).Error,
            StringComparison.Ordinal);
    }
}
