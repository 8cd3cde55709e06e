using System.Globalization;
using System.Text.Json;
using Flamingo.Cli.Tests.Running;

namespace Flamingo.Cli.Tests.Ranking;

public sealed class RankTests
{
    [Fact]
    public async Task The_likeliest_candidate_stands_first_and_the_object_keeps_the_order_given()
    {
        string[] args = ["rank", "--prompt", Examples.Prompt("new-word.json"), "--candidate", " jano", "--candidate", " pilu", "-c",
            " a red square"];
        var lines = (await FlamingoCommand.RunAsync(args)).MustReturn(0);
        var ranked = lines.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(3, ranked.Length);
        Assert.EndsWith(" pilu", ranked[0], StringComparison.Ordinal); // the answer of the original code
        Assert.Contains("9 encoded", lines.Error, StringComparison.Ordinal);
        var scores = ranked.Select(line => double.Parse(line[..10], CultureInfo.InvariantCulture)).ToArray();
        Assert.Equal(scores.OrderDescending(), scores);

        using var json = JsonDocument.Parse((await FlamingoCommand.RunAsync([.. args, "--json"])).MustReturn(0).Output);
        Assert.Equal(["candidates", "prompt_tokens", "pictures", "cache", "timings"],
            json.RootElement.EnumerateObject().Select(member => member.Name));
        var candidates = json.RootElement.GetProperty("candidates").EnumerateArray().ToArray();
        Assert.Equal([" jano", " pilu", " a red square"], candidates.Select(candidate => candidate.GetProperty("text").GetString()));
        Assert.All(candidates, candidate =>
            Assert.Equal(candidate.GetProperty("log_likelihood").GetDouble(),
                candidate.GetProperty("token_log_likelihoods").EnumerateArray().Sum(value => value.GetDouble()), 1e-6));
        Assert.Equal(scores[0], candidates[1].GetProperty("log_likelihood").GetDouble(), 1e-4);
    }

    [Fact]
    public async Task An_ensemble_is_the_mean_over_orders_of_the_examples()
    {
        using var folder = new TemporaryFolder();
        var lines = Enumerable.Range(1, 4)
            .Select(shot => (Picture: Examples.Prompt($"new-word-shot-{shot}.png"), Word: shot % 2 == 1 ? "jano" : "pilu"))
            .Select(shot => $$"""{"picture": "{{shot.Picture}}", "text": "This is a {{shot.Word}}"}""");
        string[] args = ["rank", "--support-set", folder.Write("words.jsonl", string.Join('\n', lines)), "--picture",
            Examples.Prompt("new-word-query.png"), "This is a", "-c", " jano", "-c", " pilu", "--json"];
        async Task<(double[] Scores, int Tokens, string Shots)> RankAsync(params string[] options)
        {
            using var json = JsonDocument.Parse((await FlamingoCommand.RunAsync([.. args, .. options])).MustReturn(0).Output);
            return ([.. json.RootElement.GetProperty("candidates").EnumerateArray()
                .Select(candidate => candidate.GetProperty("log_likelihood").GetDouble())],
                json.RootElement.GetProperty("prompt_tokens").GetInt32(),
                json.RootElement.GetProperty("shots").GetProperty("examples").GetRawText());
        }

        var (one, ensemble, again, other) =
            (await RankAsync(), await RankAsync("--ensemble", "6"), await RankAsync("--ensemble", "6", "--ensemble-seed", "0"),
                await RankAsync("--ensemble", "6", "--ensemble-seed", "1"));
        Assert.Equal((6 * one.Tokens, "[0,1,2,3]"), (ensemble.Tokens, ensemble.Shots));
        Assert.Equal(ensemble.Scores, again.Scores);
        Assert.NotEqual(one.Scores, ensemble.Scores);
        Assert.NotEqual(other.Scores, ensemble.Scores);
    }
}
