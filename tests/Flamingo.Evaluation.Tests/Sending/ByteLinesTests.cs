using System.Text;
using Flamingo.Evaluation.Sending;
using Xunit;

namespace Flamingo.Evaluation.Tests.Sending;

/// <summary>Lines of any length at their exact places.</summary>
public sealed class ByteLinesTests
{
    [Theory]
    [InlineData("", new string[0])]
    [InlineData("\n", new[] { "" })]
    [InlineData("a", new[] { "a" })]
    [InlineData("a\r\nb\n\nc", new[] { "a\r", "b", "", "c" })]
    public void The_parts_between_ends_of_line(string text, string[] expected) =>
        Assert.Equal(expected, Read(text).Select(line => Encoding.UTF8.GetString(line.Bytes)));

    [Fact]
    public void Random_files_come_back_whole_with_every_offset()
    {
        var random = new Random(7);
        for (var round = 0; round < 200; round++)
        {
            var lines = Enumerable.Range(0, random.Next(1, 6)).Select(_ => new string('é', random.Next(4) == 0 ? 70_000 : random.Next(9)));
            var text = string.Join('\n', lines) + (random.Next(2) == 0 ? "\n" : "");
            var bytes = Encoding.UTF8.GetBytes(text);
            var read = Read(text);
            Assert.Equal(text, string.Concat(read.Select(line => Encoding.UTF8.GetString(line.Bytes) + (line.IsWhole ? "\n" : ""))));
            Assert.All(read, line => Assert.True(bytes.AsSpan((int)line.Offset).StartsWith(line.Bytes)));
            Assert.All(read.SkipLast(1), line => Assert.True(line.IsWhole));
        }
    }

    private static List<ByteLine> Read(string text) => [.. ByteLines.Read(new MemoryStream(Encoding.UTF8.GetBytes(text)))];
}
