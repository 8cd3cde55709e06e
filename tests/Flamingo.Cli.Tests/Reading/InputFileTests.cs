using System.Text;
using Flamingo.Cli.Tests.Running;

namespace Flamingo.Cli.Tests.Reading;

/// <summary>Tests the encodings and line ends that editors, shells and other systems write.</summary>
public sealed class InputFileTests : IDisposable
{
    private const string Prompt = """{"segments": [{"text": "a"}], "sampling": {"max_tokens": 2}}""";

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<Encoding> Marked { get; } =
        [new UTF8Encoding(true), new UnicodeEncoding(false, true), new UnicodeEncoding(true, true), new UTF32Encoding(false, true)];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Marked))]
    public async Task A_byte_order_mark_is_no_part_of_a_prompt_or_of_examples(Encoding encoding)
    {
        var plain = (await FlamingoCommand.RunAsync("generate", "--prompt", _folder.Write("plain.json", Prompt))).MustReturn(0);
        var marked = (await FlamingoCommand.RunAsync("generate", "--prompt", Write("marked.json", Prompt, encoding))).MustReturn(0);
        Assert.Equal(plain.Output, marked.Output);

        var words = Write("words.jsonl", $$"""{"picture": "{{Picture}}", "text": "This is a jano"}""", encoding);
        (await FlamingoCommand.RunAsync("generate", "--support-set", words, "--picture", Picture, "--max-tokens", "1")).MustReturn(0);
    }

    [Fact]
    public async Task Another_encoding_is_named_with_its_line()
    {
        var prompt = Write("prompt.json", "{\"segments\":\n [{\"text\": \"café\"}]}", Encoding.Latin1);
        var refused = (await FlamingoCommand.RunAsync("generate", "--prompt", prompt)).MustReturn(2);
        Assert.Contains("prompt.json, line 2: this is not UTF-8. Save the file in UTF-8.", refused.Error, StringComparison.Ordinal);
        var words = Write("words.jsonl", "\n\n{\"picture\": \"a.png\", \"text\": \"café\"}", Encoding.Latin1);
        refused = (await FlamingoCommand.RunAsync("generate", "--support-set", words, "--picture", Picture)).MustReturn(2);
        Assert.Contains("words.jsonl, line 3: this is not UTF-8", refused.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("generate", "--picture", "empty.png")]
    [InlineData("generate", "--prompt", "empty.png")]
    [InlineData("caption", "empty.png")]
    [InlineData("chat", "--picture", "empty.png")]
    [InlineData("support-set", "put", "words", "empty.png", "--server", "http://localhost:1")]
    public async Task An_empty_file_is_called_so(params string[] args)
    {
        var empty = _folder.Write("empty.png", "");
        var refused = (await FlamingoCommand.RunAsync([.. args.Select(arg => arg == "empty.png" ? empty : arg)])).MustReturn(2);
        Assert.Contains("empty.png is empty.", refused.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Standard_input_is_a_file_called_minus()
    {
        File.Copy(Picture, _folder.File("a.png"));
        var prompt = """{"segments": [{"picture": "a.png"}, {"text": "Output:"}], "sampling": {"max_tokens": 14}}""";
        var said = (await FlamingoCommand.SpawnAsync(_folder.Path, prompt, ["generate", "--prompt", "-"])).MustReturn(0);
        Assert.Equal(Examples.Golden("caption-query.png", 0).Text.Trim(), said.Output.Trim());

        await RefusesAsync("standard input is not valid JSON: line 1, column 2", "{", "generate", "--prompt", "-");
        await RefusesAsync("standard input is empty", "", "caption", "-");
        string[] put = ["support-set", "put", "words", "-", "--server", "http://localhost:1"];
        await RefusesAsync("standard input, line 1: unknown member 'label'", """{"picture": "a.png", "label": "a"}""", put);

        async Task RefusesAsync(string expected, string input, params string[] args)
        {
            var refused = (await FlamingoCommand.SpawnAsync(_folder.Path, input, args)).MustReturn(2);
            Assert.Contains(expected, refused.Error, StringComparison.Ordinal);
        }
    }

    private static string Picture => Examples.Prompt("caption-query.png");

    private string Write(string name, string content, Encoding encoding)
    {
        File.WriteAllText(_folder.File(name), content, encoding);
        return _folder.File(name);
    }
}
