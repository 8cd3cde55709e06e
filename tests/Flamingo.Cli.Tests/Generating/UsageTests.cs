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
    [InlineData("'7:1' is not ID=VALUE", "generate", "--picture", "PICTURE", "--logit-bias", "7:1", "--logit-bias", "8=2")]
    [InlineData("token 7 is named twice", "generate", "--picture", "PICTURE", "--logit-bias", "7=1", "--logit-bias", "7=2")]
    [InlineData("sampling.logit_bias", "generate", "--picture", "PICTURE", "--logit-bias", "7=101")]
    [InlineData("sampling.allowed_tokens: -1 is no token id", "generate", "--picture", "PICTURE", "--allow-token", "3", "--allow-token", "-1")]
    [InlineData("sampling.samples: 3 answers of 2 beams", "generate", "--picture", "PICTURE", "--beams", "2", "--samples", "3")]
    [InlineData("sampling.temperature", "generate", "--picture", "PICTURE", "--beams", "2", "--temperature", "1")]
    [InlineData("sampling.length_penalty", "generate", "--picture", "PICTURE", "--length-penalty", "6")]
    [InlineData("sampling.log_probabilities", "generate", "--picture", "PICTURE", "--log-probabilities", "21")]
    [InlineData("--pin", "generate", "--picture", "PICTURE", "--pin", "0")]
    [InlineData("maps.jpg is no .png", "generate", "--picture", "PICTURE", "--attention", "maps.jpg")]
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
    [InlineData("--soak", "bench", "--soak", "0")]
    [InlineData("--soak measures no figures", "bench", "--soak", "1", "--figures", "read_bandwidth")]
    [InlineData("means nothing for random weights", "bench", "--geometry", "openflamingo-3b", "--figures", "bf16_flips_in_company")]
    public async Task Wrong_usage_is_named(string expected, params string[] args)
    {
        string[] given = [.. args.Select(arg => arg == "PICTURE" ? Examples.Prompt("caption-query.png") : arg)];
        var finished = (await FlamingoCommand.RunAsync(given)).MustReturn(2);
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
    [InlineData("sampling.samples", """{"segments": [{"text": "a"}], "sampling": {"samples": 1.5}}""")]
    [InlineData("sampling.beams: 0 is out of range", """{"segments": [{"text": "a"}], "sampling": {"beams": 0}}""")]
    [InlineData("sampling.length_penalty: must be a number", """{"segments": [{"text": "a"}], "sampling": {"length_penalty": "1"}}""")]
    [InlineData("sampling.logit_bias: must be an object", """{"segments": [{"text": "a"}], "sampling": {"logit_bias": {"seven": 1}}}""")]
    [InlineData("sampling.logit_bias: must be an object", """{"segments": [{"text": "a"}], "sampling": {"logit_bias": {"7": 1, "07": 2}}}""")]
    [InlineData("sampling.allowed_tokens: must be a list", """{"segments": [{"text": "a"}], "sampling": {"allowed_tokens": 7}}""")]
    [InlineData("sampling.log_probabilities: 21 is out of range", """{"segments": [{"text": "a"}], "sampling": {"log_probabilities": 21}}""")]
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
