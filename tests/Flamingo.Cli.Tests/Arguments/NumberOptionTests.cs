using System.CommandLine;
using System.Globalization;
using Flamingo.Cli.Tests.Running;
using Flamingo.Evaluation.Datasets;

namespace Flamingo.Cli.Tests.Arguments;

/// <summary>Checks that every option of every command parses numbers in the same way.</summary>
public sealed class NumberOptionTests
{
    private static readonly Type[] Numbers = [typeof(int), typeof(long), typeof(ulong), typeof(float), typeof(double)];

    /// <summary>The commands with the names of their options that take numbers.</summary>
    public static TheoryData<string, string> Options()
    {
        var all = new TheoryData<string, string>();
        void Add(Command command, string path)
        {
            foreach (var option in command.Options)
            {
                var one = Nullable.GetUnderlyingType(option.ValueType) ?? option.ValueType.GetElementType() ?? option.ValueType;
                if (Numbers.Contains(one)) all.Add(path, option.Name);
            }

            foreach (var below in command.Subcommands) Add(below, $"{path} {below.Name}".Trim());
        }

        Add(CommandLine.Root(), "");
        return all;
    }

    [Fact]
    public void All_of_them_are_found()
    {
        var found = Options().Select(row => $"{row.Data.Item1} {row.Data.Item2}").ToList();
        Assert.True(found.Count >= 50, $"{found.Count} options take numbers");
        string[] known =
        [
            "serve --grpc-port", "generate --pin", "rank --shots", "classify --ensemble", "chat --seed",
            "cache warm --batch", "support-set put --ttl", "import --cross-attention-every",
        ];
        Assert.All(known, option => Assert.Contains(option, found));
    }

    [Theory]
    [MemberData(nameof(Options))]
    public async Task What_is_no_number_is_one_line(string command, string option)
    {
        foreach (var wrong in new[] { "abc", "0,5", "1,000", "NaN", "1e999", "0x10", "--x" })
        {
            var line = Assert.Single(await RefusedAsync([.. Around(command, option), option, wrong]));
            Assert.StartsWith($"flamingo: {option} takes a ", line, StringComparison.Ordinal);
            Assert.Contains($"not '{wrong}'", line, StringComparison.Ordinal);
        }

        var twice = await RefusedAsync([.. Around(command, option), option, "2", option, "abc"]);
        Assert.Contains(option, Assert.Single(twice), StringComparison.Ordinal);
        var nothing = await RefusedAsync([.. Around(command, option), option]);
        Assert.Contains(option, Assert.Single(nothing), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_point_is_a_point_in_every_locale_and_a_comma_is_told_how_to_be_one()
    {
        var before = CultureInfo.CurrentCulture;
        CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo("de-DE");
        try
        {
            (string Option, string Value, string Said)[] wrong =
            [
                ("--temperature", "0,5", "Use a decimal point instead of the comma: 0.5."),
                ("--temperature", "2.5", "--temperature: 2.5 is out of range"),
                ("--logit-bias", "7=0,5", "'7=0,5' is not ID=VALUE"), ("--logit-bias", "7=1,000", "'7=1,000' is not ID=VALUE"),
            ];
            foreach (var (option, value, said) in wrong)
                Assert.Contains(said, Assert.Single(await RefusedAsync([.. Around("generate"), option, value])), StringComparison.Ordinal);
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    /// <returns>The lines on standard error.</returns>
    private static async Task<string[]> RefusedAsync(string[] args)
    {
        var refused = (await FlamingoCommand.RunAsync(args)).MustReturn(2);
        Assert.Equal("", refused.Output);
        return refused.Error.TrimEnd().Split('\n');
    }

    // the other required arguments of each command, so that only the number is wrong
    private static string[] Around(string command, string option = "") =>
    [
        .. command.Split(' ', StringSplitOptions.RemoveEmptyEntries), .. command switch
        {
            "generate" => ["--video", Picture],
            "rank" => ["--video", Picture, "--candidate", "a"],
            "caption" => [Picture],
            "answer" => [Picture, "why?"],
            "classify" => [Picture, "--label", "a"],
            "support-set put" => ["words", "a.jsonl", "--server", "http://localhost:1"],
            "cache warm" => ["/", "--server", "http://localhost:1"],
            "import" =>
                ["--layout", "openflamingo", "--vision", "/", "--language", "/", "--checkpoint", Picture, "--output", "/no/such/folder"],
            "batch" => ["--input", Picture, "--output", "/no/such/folder"],
            _ => Benchmarks.All.Where(task => command == $"eval {task.Name}").SelectMany(task => task.Needed)
                .SelectMany(file => file == BenchmarkOption.Folder ? (string[])["/"] : [file.Name, "/"]),
        },
        .. option switch
        {
            _ when command.StartsWith("eval ", StringComparison.Ordinal) => (string[])[],
            "--selection-seed" => ["--support-set", "words", "--select", "random", "--shots", "1"],
            "--ensemble" => ["--support-set", "words"],
            "--ensemble-seed" => ["--support-set", "words", "--ensemble", "2"],
            _ => (string[])[],
        },
    ];

    private static string Picture => Examples.Prompt("caption-query.png");
}
