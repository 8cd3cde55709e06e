using System.Text.Json;
using Flamingo.Cli.Tests.Running;
using Flamingo.Testing;

namespace Flamingo.Cli.Tests.Generating;

public sealed class GenerateTests
{
    [Fact]
    public async Task The_default_model_names_a_thing_it_has_only_been_shown_from_any_folder()
    {
        using var folder = new TemporaryFolder();
        var finished = await FlamingoCommand.SpawnAsync(folder.Path, "generate", "--prompt", Examples.Prompt("new-word.json"));
        finished.MustReturn(0);
        Assert.Equal(Examples.Golden("new-word-query.png", 8).Text.Trim(), finished.Output.Trim());
        Assert.Contains("9 encoded", finished.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Json_is_one_object_with_exactly_the_promised_members()
    {
        var finished = (await FlamingoCommand.RunAsync("generate", "--prompt", Examples.Prompt("new-word.json"), "--json")).MustReturn(0);
        using var json = JsonDocument.Parse(finished.Output);
        var answer = json.RootElement;
        Assert.Equal(["text", "ids", "finish_reason", "prompt_tokens", "pictures", "cache", "timings"],
            answer.EnumerateObject().Select(member => member.Name));
        var golden = Examples.Golden("new-word-query.png", 8);
        Assert.Equal(golden.Text.Trim(), answer.GetProperty("text").GetString()!.Trim());
        Assert.Equal(golden.Ids, answer.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()));
        Assert.Equal("stop", answer.GetProperty("finish_reason").GetString());
        Assert.Equal(9, answer.GetProperty("pictures").GetArrayLength());
        Assert.All(answer.GetProperty("pictures").EnumerateArray(), picture =>
        {
            Assert.Equal(["id", "source"], picture.EnumerateObject().Select(member => member.Name));
            Assert.Equal(64, picture.GetProperty("id").GetString()!.Length);
            Assert.Equal("encoded", picture.GetProperty("source").GetString());
        });
        Assert.Equal("""{"memory_hits":0,"redis_hits":0,"encoded":9,"waits":0,"saved_ms":0}""", answer.GetProperty("cache").GetRawText());
        Assert.Equal(["vision", "resample", "prefill", "first_token", "total"],
            answer.GetProperty("timings").EnumerateObject().Select(member => member.Name));
        Assert.All(answer.GetProperty("timings").EnumerateObject(), time => Assert.True(time.Value.GetDouble() > 0, time.Name));
        Assert.Equal("", finished.Error);
    }

    /// <summary>IDEFICS instruct has its own token for the end of an utterance, and no token with the text of OpenFlamingo's.</summary>
    [Fact]
    public async Task Shots_end_as_the_models_examples_do()
    {
        using var folder = new TemporaryFolder();
        var (model, family) = (folder.File("idefics"), RepositoryFiles.Path("tests", "reference", "families", "idefics"));
        (await FlamingoCommand.RunAsync("import", "--layout", "idefics", "--source", family, "--output", model)).MustReturn(0);
        string Picture(string name) => RepositoryFiles.Path("tests", "reference", "pictures", name);
        var prompt = new { segments = new object[] { new { picture = Picture("picture-0.png") },
            new { text = "a red circle<end_of_utterance>" }, new { picture = Picture("picture-2.png") }, new { text = "two" } } };
        folder.Write("prompt.json", JsonSerializer.Serialize(prompt));
        string[] shots = ["--shot", Picture("picture-0.png"), "a red circle", "--picture", Picture("picture-2.png"), "two"];
        using var written = JsonDocument.Parse((
            await FlamingoCommand.RunAsync("generate", "--json", "--model", model, "--prompt", folder.File("prompt.json")))
            .MustReturn(0).Output);
        using var inline = JsonDocument.Parse((await FlamingoCommand.RunAsync(["generate", "--json", "--model", model, .. shots]))
            .MustReturn(0).Output);
        Assert.Equal(written.RootElement.GetProperty("ids").GetRawText(), inline.RootElement.GetProperty("ids").GetRawText());

        using var file = JsonDocument.Parse((await FlamingoCommand.RunAsync("rank", "--json", "--model", model, "--prompt",
            folder.File("prompt.json"), "--candidate", " stars")).MustReturn(0).Output);
        using var ranked = JsonDocument.Parse((await FlamingoCommand.RunAsync(
            ["rank", "--json", "--model", model, .. shots, "--candidate", " stars"])).MustReturn(0).Output);
        Assert.Equal(file.RootElement.GetProperty("candidates").GetRawText(), ranked.RootElement.GetProperty("candidates").GetRawText());
        Assert.Equal(file.RootElement.GetProperty("prompt_tokens").GetInt32(), ranked.RootElement.GetProperty("prompt_tokens").GetInt32());
    }

    [Fact]
    public async Task A_prompt_on_the_command_line_is_the_same_prompt()
    {
        using var file = JsonDocument.Parse(File.ReadAllBytes(Examples.Prompt("new-word.json")));
        var segments = file.RootElement.GetProperty("segments").EnumerateArray().ToArray();
        var args = new List<string> { "generate", "--json", "--max-tokens", "14" };
        for (var index = 0; index < segments.Length; index += 2)
        {
            var text = segments[index + 1].GetProperty("text").GetString()!;
            args.Add(text.EndsWith("<|endofchunk|>", StringComparison.Ordinal) ? "--shot" : "--picture");
            args.Add(Examples.Prompt(segments[index].GetProperty("picture").GetString()!));
            args.Add(text.Replace("<|endofchunk|>", "", StringComparison.Ordinal));
        }

        Assert.Equal(8, args.Count(arg => arg == "--shot"));
        using var answer = JsonDocument.Parse((await FlamingoCommand.RunAsync([.. args])).MustReturn(0).Output);
        Assert.Equal(Examples.Golden("new-word-query.png", 8).Ids,
            answer.RootElement.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()));
    }

    [Fact]
    public async Task Options_win_over_the_prompt_file()
    {
        var finished = (await FlamingoCommand.RunAsync("generate", "--prompt", Examples.Prompt("new-word.json"), "--json", "--max-tokens",
            "1")).MustReturn(0);
        using var json = JsonDocument.Parse(finished.Output);
        Assert.Equal("length", json.RootElement.GetProperty("finish_reason").GetString());
        Assert.Equal(Examples.Golden("new-word-query.png", 8).Ids[0],
            Assert.Single(json.RootElement.GetProperty("ids").EnumerateArray()).GetInt32());
    }

    [Fact]
    public async Task Penalties_mean_the_same_as_options_and_in_a_prompt_file()
    {
        using var folder = new TemporaryFolder();
        var picture = Examples.Prompt("caption-query.png");
        var prompt = new
        {
            segments = new object[] { new { picture }, new { text = "Output:" } },
            sampling = new
            {
                max_tokens = 16, temperature = 1.5, seed = 3, frequency_penalty = 1.5, presence_penalty = -0.5, min_p = 0.01,
                no_repeat_ngram_size = 2, min_tokens = 12,
            },
        };
        string[] options = ["--max-tokens", "16", "--temperature", "1.5", "--seed", "3", "--frequency-penalty", "1.5",
            "--presence-penalty", "-0.5", "--min-p", "0.01", "--no-repeat-ngram-size", "2", "--min-tokens", "12"];
        var written = await Ids("--prompt", folder.Write("prompt.json", JsonSerializer.Serialize(prompt)));
        Assert.Equal(written, await Ids(["--picture", picture, "Output:", .. options]));
        Assert.InRange(written.Count, 12, 16);
        Assert.Equal(written.Count - 1, written.Zip(written.Skip(1)).Distinct().Count());
        Assert.NotEqual(written, await Ids("--picture", picture, "Output:", "--max-tokens", "16", "--temperature", "1.5", "--seed", "3"));

        static async Task<List<int>> Ids(params string[] args)
        {
            var finished = (await FlamingoCommand.RunAsync(["generate", "--json", .. args])).MustReturn(0);
            using var json = JsonDocument.Parse(finished.Output);
            return [.. json.RootElement.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
        }
    }

    [Fact]
    public async Task A_sampled_answer_is_repeated_by_its_seed()
    {
        string[] args = ["generate", "--picture", Examples.Prompt("caption-query.png"), "Output:", "--temperature", "1.5", "--max-tokens",
            "12", "--seed", "18446744073709551615"];
        var (first, second) = ((await FlamingoCommand.RunAsync(args)).MustReturn(0), (await FlamingoCommand.RunAsync(args)).MustReturn(0));
        Assert.Equal(first.Output, second.Output);
    }

    [Fact]
    public async Task What_the_service_refuses_is_a_failure_with_all_faults_one_per_line()
    {
        using var folder = new TemporaryFolder();
        folder.Write("broken.png", "no picture");
        var prompt = folder.Write("prompt.json", """{"segments": [{"picture": "broken.png"}, {"text": "an <image> here"}]}""");
        var finished = (await FlamingoCommand.RunAsync("generate", "--prompt", prompt)).MustReturn(1);
        Assert.Equal("", finished.Output);
        Assert.All(finished.Error.TrimEnd().Split('\n'), line => Assert.StartsWith("flamingo: ", line, StringComparison.Ordinal));
        Assert.Contains("segments[", finished.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_damaged_model_is_refused_with_one_report()
    {
        using var folder = new TemporaryFolder();
        RepositoryFiles.Copy(RepositoryFiles.Path("models", "shapes"), folder.Path);
        await File.AppendAllTextAsync(folder.File("language.safetensors"), "x", TestContext.Current.CancellationToken);
        var finished = (await FlamingoCommand.RunAsync("generate", "--prompt", Examples.Prompt("new-word.json"), "--model",
            folder.Path)).MustReturn(1);
        Assert.Contains("language.safetensors", finished.Error, StringComparison.Ordinal);
    }
}
