using Flamingo.Cli.Tests.Running;

namespace Flamingo.Cli.Tests.Generating;

/// <summary>Wrong usage gives exit code 2 and a line that names the error.</summary>
public sealed class UsageTests
{
    [Theory]
    [InlineData("Required command")]
    [InlineData("'genrate' is not understood. Did you mean generate?", "genrate", "--prompt", "a.json")]
    [InlineData("'--promt' is not understood. Did you mean --prompt", "generate", "--promt", "a.json")]
    [InlineData("--layout takes openflamingo or idefics, not 'llava'", "import", "--layout", "llava", "--output", "x")]
    [InlineData("'--layout' is required", "import", "--output", "x")]
    [InlineData("MODEL: PICTURE is a file. Name a model directory.", "inspect", "PICTURE")]
    [InlineData("--model: PICTURE is a file. Name a model directory.", "generate", "--picture", "PICTURE", "--model", "PICTURE")]
    [InlineData("--model: '' does not exist", "generate", "--picture", "PICTURE", "--model", "")]
    [InlineData("--golden: PICTURE is a file. Name a folder with goldens.", "verify", "/", "--golden", "PICTURE", "--pictures", "/")]
    [InlineData("--source: PICTURE is a file", "import", "--layout", "idefics", "--source", "PICTURE", "--output", "x")]
    [InlineData("--language: PICTURE is a file",
        "import", "--layout", "openflamingo", "--vision", "/", "--language", "PICTURE",
        "--checkpoint", "PICTURE", "--cross-attention-every", "1", "--output", "x")]
    [InlineData("--picture: / is a folder. Name a JPEG", "generate", "--picture", "/")]
    [InlineData("--shot: / is a folder. Name a JPEG", "generate", "--shot", "/", "a")]
    [InlineData("/ is a folder. Name a prompt file", "generate", "--prompt", "/")]
    [InlineData("/ is a folder. Name a JPEG", "caption", "/")]
    [InlineData("/ is a folder. Name a JPEG", "chat", "--picture", "/")]
    [InlineData("standard input holds the turns", "chat", "--picture", "-")]
    [InlineData("--support-set: / is a folder. Name a file of examples", "generate", "--picture", "PICTURE", "--support-set", "/")]
    [InlineData("/ is a folder. Name a file of one JSON object per line",
        "support-set", "put", "words", "/", "--server", "http://localhost:1")]
    [InlineData("NAME: 'two words' is not a valid name", "support-set", "put", "two words", "a.jsonl", "--server", "http://localhost:1")]
    [InlineData("missing.png does not exist", "cache", "warm", "missing.png", "--server", "http://localhost:1")]
    [InlineData("--attention: the folder /no/such/folder does not exist",
        "generate", "--picture", "PICTURE", "--attention", "/no/such/folder/maps.png")]
    [InlineData("--attention: / is a folder", "generate", "--picture", "PICTURE", "--attention", "/")]
    [InlineData("--samples: A task has one answer", "caption", "PICTURE", "--samples", "2")]
    [InlineData("--prompt", "generate")]
    [InlineData("--nonsense", "generate", "--nonsense")]
    [InlineData("exclude", "generate", "--prompt", "a.json", "--model", "/", "--server", "http://localhost:1")]
    [InlineData("Give one of them", "generate", "--prompt", "a.json", "--shot", "a.png", "text")]
    [InlineData("missing.json", "generate", "--prompt", "missing.json")]
    [InlineData("/no/such/model", "generate", "--prompt", "a.json", "--model", "/no/such/model")]
    [InlineData("missing.png", "generate", "--picture", "missing.png", "This is a")]
    [InlineData("--shot", "generate", "--shot", "only-a-picture.png")]
    [InlineData("not 3 values", "generate", "--picture", "a.png", "a text", "and another")]
    [InlineData("temperature", "generate", "--picture", "a.png", "--temperature", "warm")]
    [InlineData("'7:1' is not ID=VALUE", "generate", "--picture", "PICTURE", "--logit-bias", "7:1", "--logit-bias", "8=2")]
    [InlineData("token 7 is named twice", "generate", "--picture", "PICTURE", "--logit-bias", "7=1", "--logit-bias", "7=2")]
    [InlineData("--logit-bias: A bias is out of range", "generate", "--picture", "PICTURE", "--logit-bias", "7=101")]
    [InlineData("--allow-token: -1 is no token id", "generate", "--picture", "PICTURE", "--allow-token", "3", "--allow-token", "-1")]
    [InlineData("--samples: 3 answers are more than 2 beams", "generate", "--picture", "PICTURE", "--beams", "2", "--samples", "3")]
    [InlineData("--temperature: A beam search is greedy", "generate", "--picture", "PICTURE", "--beams", "2", "--temperature", "1")]
    [InlineData("--length-penalty: 6 is out of range", "generate", "--picture", "PICTURE", "--length-penalty", "6")]
    [InlineData("--frequency-penalty: 3 is out of range. Send -2 to 2.", "generate", "--picture", "PICTURE", "--frequency-penalty", "3")]
    [InlineData("--presence-penalty: -2.5 is out of range", "generate", "--picture", "PICTURE", "--presence-penalty", "-2.5")]
    [InlineData("--min-p: 1.5 is out of range. Send 0 to 1.", "generate", "--picture", "PICTURE", "--min-p", "1.5")]
    [InlineData("--no-repeat-ngram-size: -1 is out of range", "caption", "PICTURE", "--no-repeat-ngram-size", "-1")]
    [InlineData("--min-tokens: 33 is more than max_tokens, 32", "generate", "--picture", "PICTURE", "--min-tokens", "33")]
    [InlineData("--log-probabilities: 21 is out of range", "generate", "--picture", "PICTURE", "--log-probabilities", "21")]
    [InlineData("--pin takes a number above 0 and at most 31536000, not '0'", "generate", "--picture", "PICTURE", "--pin", "0")]
    [InlineData("maps.jpg is not a .png", "generate", "--picture", "PICTURE", "--attention", "maps.jpg")]
    [InlineData("--max-frames belongs to --video", "generate", "--picture", "PICTURE", "--max-frames", "2")]
    [InlineData("--max-frames takes a whole number of 1 or more, not '0'", "generate", "--video", "PICTURE", "--max-frames", "0")]
    [InlineData("--video: missing.gif does not exist. Name an animated", "generate", "--video", "missing.gif")]
    [InlineData("belong to --support-set", "generate", "--picture", "PICTURE", "--shots", "2")]
    [InlineData("needs --shots", "generate", "--picture", "PICTURE", "--support-set", "words", "--select", "rices")]
    [InlineData("leave out --shots", "generate", "--picture", "PICTURE", "--support-set", "words", "--select", "all", "--shots", "2")]
    [InlineData("--shots takes a whole number of 1 or more, not '0'",
        "generate", "--picture", "PICTURE", "--support-set", "words", "--shots", "0")]
    [InlineData("--selection-seed belongs", "generate", "--picture", "PICTURE", "--support-set", "words", "--shots", "2",
        "--selection-seed", "1")]
    [InlineData("nearest", "generate", "--picture", "PICTURE", "--support-set", "words", "--select", "nearest")]
    [InlineData("words does not exist. Name a file of examples, or give --server",
        "generate", "--picture", "PICTURE", "--support-set", "words")]
    [InlineData("support-set put NAME words.jsonl", "generate", "--picture", "PICTURE", "--support-set", "words.jsonl", "--server",
        "http://localhost:1")]
    [InlineData("is not a valid name", "generate", "--picture", "PICTURE", "--tenant", "two words")]
    [InlineData("--candidate", "rank", "--picture", "PICTURE")]
    [InlineData("a candidate is empty", "rank", "--picture", "PICTURE", "--candidate", "")]
    [InlineData("--ensemble takes a whole number from 2 to 24, not '25'",
        "rank", "--picture", "PICTURE", "--candidate", "a", "--support-set", "words", "--ensemble", "25")]
    [InlineData("Give --support-set too", "rank", "--picture", "PICTURE", "--candidate", "a", "--ensemble", "2")]
    [InlineData("Give one of them", "rank", "--candidate", "a")]
    [InlineData("Required command", "cache")]
    [InlineData("'clean' is not understood. Did you mean clear?", "cache", "clean")]
    [InlineData("'is' is not understood here: a value must follow its option, and a text with spaces must be in quotes.",
        "answer", "PICTURE", "what", "is", "this")]
    [InlineData("--shot takes a picture and a text, not 1 value. Quote the text", "generate", "--shot", "PICTURE")]
    [InlineData("support-set put NAME sets/words",
        "generate", "--picture", "PICTURE", "--support-set", "sets/words", "--server", "http://localhost:1")]
    [InlineData("--server", "cache", "stats")]
    [InlineData("'flamingo cache warm --help'", "cache", "warm")]
    [InlineData("/no/such/folder does not exist", "cache", "warm", "/no/such/folder", "--server", "http://localhost:1")]
    [InlineData("--batch takes a whole number from 1 to 64, not '65'",
        "cache", "warm", "/", "--server", "http://localhost:1", "--batch", "65")]
    [InlineData("--ttl takes a number above 0", "support-set", "put", "words", "a.jsonl", "--server", "http://localhost:1", "--ttl", "0")]
    [InlineData("a.jsonl does not exist", "support-set", "put", "words", "a.jsonl", "--server", "http://localhost:1")]
    [InlineData("NAME", "support-set", "get", "--server", "http://localhost:1")]
    [InlineData("is not an address", "generate", "--picture", "a.png", "--server", "localhost")]
    [InlineData("--golden", "verify", "/")]
    [InlineData("--grpc-port takes a whole number from 1 to 65535, not '70000'", "serve", "--grpc-port", "70000")]
    [InlineData("/no/such/model", "inspect", "/no/such/model")]
    [InlineData("--checkpoint", "import", "--layout", "openflamingo")]
    [InlineData("idefics", "import", "--layout", "idefics")]
    public async Task Wrong_usage_is_named(string expected, params string[] args)
    {
        var picture = Examples.Prompt("caption-query.png");
        string[] given = [.. args.Select(arg => arg == "PICTURE" ? picture : arg)];
        var finished = (await FlamingoCommand.RunAsync(given)).MustReturn(2);
        Assert.Contains(expected.Replace("PICTURE", picture, StringComparison.Ordinal), finished.Error, StringComparison.Ordinal);
        Assert.All(finished.Error.TrimEnd().Split('\n'), line => Assert.StartsWith("flamingo: ", line, StringComparison.Ordinal));
        Assert.Equal("", finished.Output);
    }

    [Theory]
    [InlineData("line 1, column 2: the text ends before every bracket is closed", "{")]
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
    [InlineData("sampling.logit_bias: must be an object",
        """{"segments": [{"text": "a"}], "sampling": {"logit_bias": {"7": 1, "07": 2}}}""")]
    [InlineData("sampling.allowed_tokens: must be a list", """{"segments": [{"text": "a"}], "sampling": {"allowed_tokens": 7}}""")]
    [InlineData("sampling.log_probabilities: 21 is out of range",
        """{"segments": [{"text": "a"}], "sampling": {"log_probabilities": 21}}""")]
    [InlineData("sampling.frequency_penalty: must be a number",
        """{"segments": [{"text": "a"}], "sampling": {"frequency_penalty": "1"}}""")]
    [InlineData("sampling.presence_penalty: 2.5 is out of range",
        """{"segments": [{"text": "a"}], "sampling": {"presence_penalty": 2.5}}""")]
    [InlineData("sampling.min_p: -1 is out of range", """{"segments": [{"text": "a"}], "sampling": {"min_p": -1}}""")]
    [InlineData("sampling.no_repeat_ngram_size: must be a whole number",
        """{"segments": [{"text": "a"}], "sampling": {"no_repeat_ngram_size": 1.5}}""")]
    [InlineData("sampling.min_tokens: 9 is more than max_tokens, 8",
        """{"segments": [{"text": "a"}], "sampling": {"min_tokens": 9, "max_tokens": 8}}""")]
    [InlineData("sampling.temperature: 3 is out of range", """{"segments": [{"text": "a"}], "sampling": {"temperature": 3}}""")]
    [InlineData("Duplicate property 'segments'.", """{"segments": [{"text": "a"}], "segments": []}""")]
    [InlineData("line 1, column 28: a comma stands before the closing bracket", """{"segments":[{"text":"a"}],}""")]
    [InlineData("line 2, column 2: '{' is invalid after a value. Expected either ',', '}', or ']'.",
        "{\"segments\":[{\"text\":\"a\"}\n {\"text\":\"b\"}]}")]
    [InlineData("Write a backslash as \\\\", """{"segments":[{"picture":"c:\pictures\a.png"}]}""")]
    [InlineData("prompt.json is empty", "")]
    [InlineData("segments[0].picture: '-' is not a path", """{"segments": [{"picture": "-"}]}""")]
    [InlineData("segments[0].picture: / is a folder", """{"segments": [{"picture": "/"}]}""")]
    public async Task A_malformed_prompt_file_is_named(string expected, string content)
    {
        using var folder = new TemporaryFolder();
        var finished = (await FlamingoCommand.RunAsync("generate", "--prompt", folder.Write("prompt.json", content))).MustReturn(2);
        Assert.Contains(expected, finished.Error, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("prompt.json", finished.Error, StringComparison.Ordinal);
        foreach (var advice in new[] { "reader options", "BytePositionInLine", "isFinalBlock", "deserialization", "this mode" })
            Assert.DoesNotContain(advice, finished.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task All_faults_of_a_prompt_file_come_at_once()
    {
        using var folder = new TemporaryFolder();
        var prompt = folder.Write("prompt.json",
            """{"segments": [{"sound": "a"}, {"picture": "gone.png"}], "sampling": {"top_p": 0}, "model": "x"}""");
        var finished = (await FlamingoCommand.RunAsync("generate", "--prompt", prompt)).MustReturn(2);
        foreach (var fault in new[] { "'sound'", "gone.png", "top_p", "'model'" })
            Assert.Contains(fault, finished.Error, StringComparison.Ordinal);
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
    public async Task Help_describes_every_option(params string[] command)
    {
        var finished = (await FlamingoCommand.RunAsync([.. command, "--help"])).MustReturn(0);
        var described = command.Aggregate((System.CommandLine.Command)CommandLine.Root(),
            (parent, name) => parent.Subcommands.Single(item => item.Name == name));
        Assert.All(described.Options, option => Assert.False(string.IsNullOrWhiteSpace(option.Description), option.Name));
        Assert.All(described.Options, option => Assert.Contains(option.Name, finished.Output, StringComparison.Ordinal));
        Assert.All(described.Subcommands, item => Assert.Contains(item.Name, finished.Output, StringComparison.Ordinal));
    }
}
