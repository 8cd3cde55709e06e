using Flamingo.Abstractions;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Tests.Running;

namespace Flamingo.Cli.Tests.Reporting;

/// <summary>Errors of the service name the user's options, files, and places in files.</summary>
public sealed class FieldNamesTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private static string Good => Examples.Prompt("caption-query.png");

    private string Broken => _folder.Write("broken.png", "no picture");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task The_innermost_name_is_taken_and_other_failures_pass()
    {
        var names = new FieldNames();
        names.Add("segments[1]", "a.png");
        names.Add("segments[1].video.files[0]", "frame.png");
        Assert.Equal("a.png", names.Of("segments[1].picture"));
        Assert.Equal("frame.png", names.Of("segments[1].video.files[0]"));
        Assert.Equal("segments[11].picture", names.Of("segments[11].picture"));
        var refusal = await Assert.ThrowsAsync<FlamingoException>(
            () => names.AskAsync<int>(() => throw FlamingoException.Invalid("segments[1].picture", "No.", "Yes.")));
        Assert.Equal((FlamingoErrorKind.InvalidArgument, "a.png: No. Yes."), (refusal.Kind, Assert.Single(refusal.Faults).ToString()));
        var busy = await Assert.ThrowsAsync<FlamingoException>(
            () => names.AskAsync<int>(() => throw new FlamingoException(FlamingoErrorKind.Overloaded, "busy")));
        Assert.Equal("busy", busy.Message);
    }

    [Fact]
    public async Task On_the_command_line_options_and_files_are_named()
    {
        await SaysAsync($"--picture {Broken}: ", "generate", "--picture", Broken, "Output:");
        await SaysAsync($"--shot {Broken}: ", "generate", "--shot", Broken, "a", "--picture", Good);
        await SaysAsync($"--picture {Good}, its text: ", "rank", "--picture", Good, "an <image>", "--candidate", "a");
        await SaysAsync("--candidate \"<image>\": ", "rank", "--picture", Good, "--candidate", "a", "--candidate", "<image>");
        await SaysAsync($"{Broken}: ", "caption", Broken);
        await SaysAsync($"--example {Broken} why? so: ", "answer", Good, "why?", "--example", Broken, "why?", "so");
        await SaysAsync("QUESTION: ", "answer", Good, "");
        await SaysAsync("--label: ", "classify", Good, "--label", "a", "--label", "a");
        await SaysAsync("--pin: ", "caption", Good, "--pin", "99999");
        await SaysAsync("--max-tokens: ", "caption", Good, "--max-tokens", "99999");
        await SaysAsync("--attention: ", "generate", "--picture", Good, "--attention", _folder.File("maps.png"), "--beams", "2");
    }

    [Fact]
    public async Task In_files_the_place_is_named()
    {
        _ = Broken;
        var prompt = _folder.Write("prompt.json", """{"segments": [{"text": "a"}, {"picture": "broken.png"}]}""");
        await SaysAsync($"{prompt}: segments[1].picture (broken.png): ", "generate", "--prompt", prompt);
        var text = _folder.Write("text.json", """{"segments": [{"text": "an <image>"}], "sampling": {"max_tokens": 99999}}""");
        await SaysAsync($"{text}: segments[0].text: ", "generate", "--prompt", text);
        await SaysAsync($"{text}: sampling.max_tokens: ", "generate", "--prompt", text);
        var words = _folder.Write("words.jsonl", $$"""
            {"picture": "{{Good}}", "text": "a"}

            {"picture": "broken.png", "text": "b"}
            """);
        await SaysAsync($"{words}, line 3 (broken.png): ", "generate", "--support-set", words, "--picture", Good);
        await SaysAsync("--shots: ", "generate", "--support-set", Examples.Prompt("words.jsonl"), "--shots", "99", "--picture", Good);
    }

    [Theory]
    [InlineData("--top-k has no effect at temperature 0", "--top-k", "3")]
    [InlineData("--top-p has no effect at temperature 0", "--top-p", "0.5")]
    [InlineData("--min-p has no effect at temperature 0", "--min-p", "0.5")]
    [InlineData("--seed has no effect at temperature 0", "--seed", "7")]
    [InlineData("--samples: at temperature 0 all answers are the same", "--samples", "2")]
    [InlineData("--length-penalty has no effect without --beams", "--length-penalty", "2")]
    [InlineData("--pin has no effect without --server", "--pin", "2")]
    [InlineData("--tenant has no effect without --server", "--tenant", "team-a")]
    public async Task What_has_no_effect_is_told(string said, params string[] option)
    {
        string[] ask = ["generate", "--picture", Good, "Output:", "--max-tokens", "1"];
        Assert.Contains(said, (await FlamingoCommand.RunAsync([.. ask, .. option])).MustReturn(0).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_has_an_effect_is_not()
    {
        string[] sampling = ["--temperature", "1", "--top-k", "3", "--top-p", "0.5", "--seed", "7", "--samples", "2"];
        var sampled = (await FlamingoCommand.RunAsync(
            ["generate", "--picture", Good, "Output:", "--max-tokens", "1", .. sampling])).MustReturn(0);
        Assert.DoesNotContain("flamingo:", sampled.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Tasks_tell_what_they_leave_out()
    {
        string[] ask = ["caption", Good, "--example", Good, "a", "--no-zero-shot", "--log-probabilities", "1"];
        var said = (await FlamingoCommand.RunAsync(ask)).MustReturn(0).Error;
        Assert.Contains("--no-zero-shot has no effect together with examples", said, StringComparison.Ordinal);
        Assert.Contains("--log-probabilities has no effect here", said, StringComparison.Ordinal);
    }

    private static async Task SaysAsync(string name, params string[] args)
    {
        var refused = (await FlamingoCommand.RunAsync(args)).MustReturn(1);
        Assert.Contains($"flamingo: {name}", refused.Error, StringComparison.Ordinal);
    }
}
