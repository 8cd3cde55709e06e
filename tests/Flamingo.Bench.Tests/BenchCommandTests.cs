using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Flamingo.Bench.Figures;
using Flamingo.Testing;

namespace Flamingo.Bench.Tests;

/// <summary>Tests the output of the bench command line, and that wrong usage gives exit code 2 and one line that names the error.</summary>
public sealed class BenchCommandTests
{
    public static TheoryData<string> Numbers => ["--threads", "--seed", "--repetitions", "--soak"];

    [Fact]
    public async Task Each_figure_is_one_line_on_standard_output_and_in_the_file()
    {
        using var folder = new TemporaryFolder();
        var file = folder.Below("figures.jsonl");
        var (code, output, error) = await RunAsync(
            "--figures", "hit_over_encode", "ttft_cold_over_warm_0_shots", "--repetitions", "1", "--seed", "7", "--output", file);
        Assert.True(code == 0, error);
        var lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        var figures = lines.Select(line => JsonDocument.Parse(line).RootElement).ToList();
        Assert.Equal(
            ["ttft_cold_over_warm_0_shots", "hit_over_encode"], figures.Select(figure => figure.GetProperty("figure").GetString()));
        Assert.All(figures, figure => Assert.True(figure.GetProperty("value").GetDouble() > 0));
        Assert.Equal(lines, await File.ReadAllLinesAsync(file, TestContext.Current.CancellationToken));
        Assert.Contains("hit_over_encode", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_soak_prints_its_findings()
    {
        var (code, output, error) = await RunAsync(
            "--soak", "0.05", "--set", "LanguageModel:MaxSequences=4", "LanguageModel:MaxQueued=2");
        Assert.True(code == 0, error);
        var values = output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)
            .ToDictionary(line => line.GetProperty("figure").GetString()!, line => line.GetProperty("value").GetDouble());
        Assert.Equal(7, values.Count);
        Assert.True(values["soak_answers"] > 0 && values["soak_refusals"] > 0, output);
        Assert.Contains("idle at the end", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task List_names_all_and_measures_nothing()
    {
        var (code, output, error) = await RunAsync("--list");
        Assert.Equal(0, code);
        Assert.Equal("", error);
        var names = output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ')[0]);
        Assert.Equal(FigureCatalogue.All.Select(figure => figure.Name), names);
    }

    [Theory]
    [InlineData("nonsense. Known: ttft_cold_over_warm_0_shots, ", "--figures", "read_bandwidth", "nonsense")]
    [InlineData("openflamingo-900b", "--geometry", "openflamingo-900b")]
    [InlineData("--threads takes a whole number of 1 or more, not '0'", "--threads", "0")]
    [InlineData("KEY=VALUE", "--set", "LanguageModel:MaxQueued")]
    [InlineData("--soak takes a number above 0 and at most 100000, not '0'", "--soak", "0")]
    [InlineData("--attacks: no attack is called siege. Known: gzip_bomb, ", "--attacks", "siege")]
    [InlineData("--attacks measures nothing else", "--attacks", "--soak", "1")]
    [InlineData("--soak measures no figures", "--soak", "1", "--figures", "read_bandwidth")]
    [InlineData("needs trained weights", "--geometry", "openflamingo-3b", "--figures", "bf16_flips_in_company")]
    [InlineData("--output: the folder /no/such/folder does not exist", "--figures", "read_bandwidth", "--output", "/no/such/folder/lines")]
    [InlineData("Name a --geometry other than shapes", "--full-size")]
    [InlineData("--full-size measures nothing else", "--full-size", "--geometry", "openflamingo-3b", "--list")]
    [InlineData("--fullsize", "--fullsize")]
    public async Task Wrong_usage_is_named(string expected, params string[] args)
    {
        var line = Assert.Single(await RefusedAsync(args));
        Assert.StartsWith("bench: ", line, StringComparison.Ordinal);
        Assert.Contains(expected, line, StringComparison.Ordinal);
    }

    [Theory, MemberData(nameof(Numbers))]
    public async Task What_is_no_number_is_one_line_in_every_locale(string option)
    {
        var before = CultureInfo.CurrentCulture;
        try
        {
            foreach (var locale in new[] { "", "de-DE" })
            {
                CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo(locale);
                foreach (var wrong in new[] { "abc", "0,5", "1,000", "NaN", "1e999", "0x10" })
                {
                    var line = Assert.Single(await RefusedAsync(option, wrong));
                    Assert.StartsWith($"bench: {option} takes a ", line, StringComparison.Ordinal);
                    Assert.Contains($"not '{wrong}'", line, StringComparison.Ordinal);
                }
            }
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Fact]
    public async Task A_model_that_is_not_there_is_one_line()
    {
        var (code, output, error) = await RunAsync("--figures", "hit_over_encode", "--model", "/no/such/model");
        Assert.Equal((1, ""), (code, output));
        Assert.Contains("bench: /no/such/model", error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Help_describes_every_option()
    {
        var (code, output, _) = await RunAsync("--help");
        Assert.Equal(0, code);
        Assert.All(BenchCommand.Create().Options, option => Assert.False(string.IsNullOrWhiteSpace(option.Description), option.Name));
        Assert.All(BenchCommand.Create().Options, option => Assert.Contains(option.Name, output, StringComparison.Ordinal));
    }

    private static async Task<string[]> RefusedAsync(params string[] args)
    {
        var (code, output, error) = await RunAsync(args);
        Assert.Equal((2, ""), (code, output));
        return error.TrimEnd().Split('\n');
    }

    private static async Task<(int Code, string Output, string Error)> RunAsync(params string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var code = await BenchCommand.RunAsync(args, output, error, TestContext.Current.CancellationToken);
        return (code, output.ToString(), error.ToString());
    }
}
