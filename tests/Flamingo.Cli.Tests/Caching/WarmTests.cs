using System.Text.Json;
using Flamingo.Cli.Tests.Running;

namespace Flamingo.Cli.Tests.Caching;

/// <summary>Tests <c>flamingo cache warm</c> with a real server.</summary>
public sealed class WarmTests(RunningServer server) : IClassFixture<RunningServer>
{
    [Fact]
    public async Task A_warmed_picture_is_encoded_for_no_prompt_until_the_cache_is_cleared_and_a_bad_one_is_named()
    {
        using var folder = new TemporaryFolder();
        foreach (var name in new[] { "caption-query.png", "vqa-query.png" }) File.Copy(Examples.Prompt(name), folder.File(name));
        folder.Write("broken.png", "no picture");
        string[] warm = ["cache", "warm", folder.Path, "--server", server.Address];
        var first = (await FlamingoCommand.RunAsync(warm)).MustReturn(1);
        Assert.Equal("3 pictures: 2 sent, 0 held already, 1 bad.", first.Output.Trim());
        Assert.Contains("broken.png: ", first.Error, StringComparison.Ordinal);
        Assert.Equal("3 pictures: 0 sent, 2 held already, 1 bad.", (await FlamingoCommand.RunAsync(warm)).MustReturn(1).Output.Trim());

        using var answer = JsonDocument.Parse(
            (await FlamingoCommand.RunAsync("generate", "--prompt", Examples.Prompt("caption.json"), "--json", "--server",
                server.Address)).MustReturn(0).Output);
        Assert.Equal("memory", Assert.Single(answer.RootElement.GetProperty("pictures").EnumerateArray()).GetProperty("source")
            .GetString());
        Assert.True(answer.RootElement.GetProperty("cache").GetProperty("saved_ms").GetDouble() > 0);

        using var statistics = JsonDocument.Parse(
            (await FlamingoCommand.RunAsync("cache", "stats", "--json", "--server", server.Address)).MustReturn(0).Output);
        // files that are not pictures were also sent to the stages
        Assert.True(statistics.RootElement.GetProperty("encoded").GetInt64() >= 2);
        Assert.True(statistics.RootElement.GetProperty("memory").GetProperty("hits").GetInt64() >= 3);
        Assert.Equal(JsonValueKind.Null, statistics.RootElement.GetProperty("redis").ValueKind);
        Assert.Equal("Removed 2 entries from memory and 0 from Redis.",
            (await FlamingoCommand.RunAsync("cache", "clear", "--server", server.Address)).MustReturn(0).Output.Trim());
        Assert.Equal("3 pictures: 2 sent, 0 held already, 1 bad.", (await FlamingoCommand.RunAsync(warm)).MustReturn(1).Output.Trim());

        // another tenant does not share the cache
        using var other = JsonDocument.Parse(
            (await FlamingoCommand.RunAsync("generate", "--prompt", Examples.Prompt("caption.json"), "--json", "--tenant", "other",
                "--server", server.Address)).MustReturn(0).Output);
        Assert.Equal("encoded", Assert.Single(other.RootElement.GetProperty("pictures").EnumerateArray()).GetProperty("source")
            .GetString());
    }
}
