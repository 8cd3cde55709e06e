using Flamingo.Cli.Tests.Running;

namespace Flamingo.Cli.Tests.Generating;

/// <summary>Wrong usage is exit code 2 and a line that names what is wrong.</summary>
public sealed class UsageTests
{
    [Theory]
    [InlineData("Required command")]
    [InlineData("--prompt", "generate")]
    [InlineData("--nonsense", "generate", "--nonsense")]
    [InlineData("exclude", "generate", "--prompt", "a.json", "--model", "/", "--server", "http://localhost:1")]
    [InlineData("one of them", "generate", "--prompt", "a.json", "--shot", "a.png", "text")]
    [InlineData("missing.json", "generate", "--prompt", "missing.json")]
    [InlineData("/no/such/model", "generate", "--prompt", "a.json", "--model", "/no/such/model")]
    [InlineData("missing.png", "generate", "--picture", "missing.png", "This is a")]
    [InlineData("--shot", "generate", "--shot", "only-a-picture.png")]
    [InlineData("not 3 values", "generate", "--picture", "a.png", "a text", "and another")]
    [InlineData("temperature", "generate", "--picture", "a.png", "--temperature", "warm")]
    [InlineData("no address", "generate", "--picture", "a.png", "--server", "localhost")]
    [InlineData("--golden", "verify", "/")]
    [InlineData("--grpc-port", "serve", "--grpc-port", "70000")]
    [InlineData("/no/such/model", "inspect", "/no/such/model")]
    [InlineData("--checkpoint", "import", "--layout", "openflamingo")]
    [InlineData("idefics", "import", "--layout", "idefics")]
    [InlineData("nonsense. Known: ttft_cold_over_warm_0_shots, ", "bench", "--figures", "read_bandwidth", "nonsense")]
    [InlineData("openflamingo-9b", "bench", "--geometry", "openflamingo-9b")]
    [InlineData("--threads", "bench", "--threads", "0")]
    [InlineData("KEY=VALUE", "bench", "--set", "LanguageModel:MaxQueued")]
    public async Task Wrong_usage_is_named(string expected, params string[] args)
    {
        var finished = (await FlamingoCommand.RunAsync(args)).MustReturn(2);
        Assert.Contains(expected, finished.Error, StringComparison.Ordinal);
        Assert.Equal("", finished.Output);
    }

    [Theory]
    [InlineData("not valid JSON", "{")]
    [InlineData("must hold an object", "[]")]
    [InlineData("'segments' is missing", "{}")]
    [InlineData("at least one", """{"segments": []}""")]
    [InlineData("'extra'", """{"segments": [{"text": "a"}], "extra": 1}""")]
    [InlineData("segments[1]: unknown member 'image'", """{"segments": [{"text": "a"}, {"image": "b.png"}]}""")]
    [InlineData("exactly one", """{"segments": [{"text": "a", "picture_id": "b"}]}""")]
    [InlineData("segments[0].text: must be a string", """{"segments": [{"text": 1}]}""")]
    [InlineData("gone.png does not exist", """{"segments": [{"picture": "gone.png"}]}""")]
    [InlineData("'max_token'", """{"segments": [{"text": "a"}], "sampling": {"max_token": 1}}""")]
    [InlineData("sampling.max_tokens", """{"segments": [{"text": "a"}], "sampling": {"max_tokens": "1"}}""")]
    [InlineData("sampling.temperature: 3 is out of range", """{"segments": [{"text": "a"}], "sampling": {"temperature": 3}}""")]
    [InlineData("Duplicate", """{"segments": [{"text": "a"}], "segments": []}""")]
    public async Task A_malformed_prompt_file_is_named(string expected, string content)
    {
        using var folder = new TemporaryFolder();
        var finished = (await FlamingoCommand.RunAsync("generate", "--prompt", folder.Write("prompt.json", content))).MustReturn(2);
        Assert.Contains(expected, finished.Error, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("prompt.json", finished.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task All_faults_of_a_prompt_file_come_at_once()
    {
        using var folder = new TemporaryFolder();
        var prompt = folder.Write("prompt.json", """{"segments": [{"sound": "a"}, {"picture": "gone.png"}], "sampling": {"top_p": 0}, "model": "x"}""");
        var finished = (await FlamingoCommand.RunAsync("generate", "--prompt", prompt)).MustReturn(2);
        foreach (var fault in new[] { "'sound'", "gone.png", "top_p", "'model'" }) Assert.Contains(fault, finished.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData]
    [InlineData("generate")]
    [InlineData("serve")]
    [InlineData("import")]
    [InlineData("verify")]
    [InlineData("inspect")]
    [InlineData("bench")]
    public async Task Help_describes_every_option(params string[] command)
    {
        var finished = (await FlamingoCommand.RunAsync([.. command, "--help"])).MustReturn(0);
        System.CommandLine.Command described = command.Length == 0 ? CommandLine.Root() : CommandLine.Root().Subcommands.Single(item => item.Name == command[0]);
        Assert.All(described.Options, option => Assert.False(string.IsNullOrWhiteSpace(option.Description), option.Name));
        Assert.All(described.Options, option => Assert.Contains(option.Name, finished.Output, StringComparison.Ordinal));
        Assert.All(described.Subcommands, item => Assert.Contains(item.Name, finished.Output, StringComparison.Ordinal));
    }
}
