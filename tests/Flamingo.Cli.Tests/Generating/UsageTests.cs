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
    [InlineData("--max-frames", "generate", "--picture", "PICTURE", "--max-frames", "2")]
    [InlineData("--max-frames", "generate", "--video", "PICTURE", "--max-frames", "0")]
    [InlineData("missing.gif does not exist. Name an animated", "generate", "--video", "missing.gif")]
    [InlineData("belong to --support-set", "generate", "--picture", "PICTURE", "--shots", "2")]
    [InlineData("needs --shots", "generate", "--picture", "PICTURE", "--support-set", "words", "--select", "rices")]
    [InlineData("leave out --shots", "generate", "--picture", "PICTURE", "--support-set", "words", "--select", "all", "--shots", "2")]
    [InlineData("--shots takes a number from 1", "generate", "--picture", "PICTURE", "--support-set", "words", "--shots", "0")]
    [InlineData("--selection-seed belongs", "generate", "--picture", "PICTURE", "--support-set", "words", "--shots", "2", "--selection-seed", "1")]
    [InlineData("nearest", "generate", "--picture", "PICTURE", "--support-set", "words", "--select", "nearest")]
    [InlineData("words does not exist. Without --server", "generate", "--picture", "PICTURE", "--support-set", "words")]
    [InlineData("support-set put NAME words.jsonl", "generate", "--picture", "PICTURE", "--support-set", "words.jsonl", "--server", "http://localhost:1")]
    [InlineData("no name of a tenant", "generate", "--picture", "PICTURE", "--tenant", "two words")]
    [InlineData("--candidate", "rank", "--picture", "PICTURE")]
    [InlineData("a candidate is empty", "rank", "--picture", "PICTURE", "--candidate", "")]
    [InlineData("--ensemble takes 2 to 24", "rank", "--picture", "PICTURE", "--candidate", "a", "--support-set", "words", "--ensemble", "25")]
    [InlineData("Name one", "rank", "--picture", "PICTURE", "--candidate", "a", "--ensemble", "2")]
    [InlineData("one of them", "rank", "--candidate", "a")]
    [InlineData("Required command", "cache")]
    [InlineData("--server", "cache", "stats")]
    [InlineData("'flamingo cache warm --help'", "cache", "warm")]
    [InlineData("/no/such/folder does not exist", "cache", "warm", "/no/such/folder", "--server", "http://localhost:1")]
    [InlineData("--batch must be 1 to 64", "cache", "warm", "/", "--server", "http://localhost:1", "--batch", "65")]
    [InlineData("--ttl", "support-set", "put", "words", "a.jsonl", "--server", "http://localhost:1", "--ttl", "0")]
    [InlineData("a.jsonl does not exist", "support-set", "put", "words", "a.jsonl", "--server", "http://localhost:1")]
    [InlineData("NAME", "support-set", "get", "--server", "http://localhost:1")]
    [InlineData("no address", "generate", "--picture", "a.png", "--server", "localhost")]
    [InlineData("--golden", "verify", "/")]
    [InlineData("--grpc-port", "serve", "--grpc-port", "70000")]
    [InlineData("/no/such/model", "inspect", "/no/such/model")]
    [InlineData("--checkpoint", "import", "--layout", "openflamingo")]
    [InlineData("idefics", "import", "--layout", "idefics")]
    [InlineData("nonsense. Known: ttft_cold_over_warm_0_shots, ", "bench", "--figures", "read_bandwidth", "nonsense")]
    [InlineData("openflamingo-900b", "bench", "--geometry", "openflamingo-900b")]
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
    [InlineData("segments[0].max_frames", """{"segments": [{"text": "a", "max_frames": 1}]}""")]
    [InlineData("a picture has one frame", """{"segments": [{"picture": "a.png", "max_frames": 1}]}""")]
    [InlineData("segments[0].max_frames: must be a whole number", """{"segments": [{"video": "a.gif", "max_frames": -1}]}""")]
    [InlineData("gone.gif does not exist", """{"segments": [{"video": "gone.gif"}]}""")]
    [InlineData("segments[0].frames[1]: must be a string", """{"segments": [{"frames": ["a.png", 1]}]}""")]
    [InlineData("segments[0].frames: must be a list", """{"segments": [{"frames": []}]}""")]
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
    [InlineData("rank")]
    [InlineData("caption")]
    [InlineData("answer")]
    [InlineData("classify")]
    [InlineData("chat")]
    [InlineData("serve")]
    [InlineData("support-set")]
    [InlineData("support-set", "put")]
    [InlineData("support-set", "get")]
    [InlineData("support-set", "list")]
    [InlineData("support-set", "delete")]
    [InlineData("cache")]
    [InlineData("cache", "stats")]
    [InlineData("cache", "warm")]
    [InlineData("cache", "clear")]
    [InlineData("import")]
    [InlineData("verify")]
    [InlineData("inspect")]
    [InlineData("bench")]
    public async Task Help_describes_every_option(params string[] command)
    {
        var finished = (await FlamingoCommand.RunAsync([.. command, "--help"])).MustReturn(0);
        var described = command.Aggregate((System.CommandLine.Command)CommandLine.Root(), (parent, name) => parent.Subcommands.Single(item => item.Name == name));
        Assert.All(described.Options, option => Assert.False(string.IsNullOrWhiteSpace(option.Description), option.Name));
        Assert.All(described.Options, option => Assert.Contains(option.Name, finished.Output, StringComparison.Ordinal));
        Assert.All(described.Subcommands, item => Assert.Contains(item.Name, finished.Output, StringComparison.Ordinal));
    }
}
