using System.Text;
using System.Text.RegularExpressions;
using Flamingo.Testing;

namespace Flamingo.Gateway.Doors.Tests;

/// <summary>
/// Every file of the folder Recorded is a request and, behind a line of three hyphens, its whole answer, so that a change of the wire
/// format is seen in review. With FLAMINGO_RECORD=1 the answers are written anew.
/// </summary>
public sealed partial class RecordedTests
{
    private static string Folder { get; } = RepositoryFiles.Path("tests", "Flamingo.Gateway.Doors.Tests", "Recorded");

    public static TheoryData<string> Names =>
        [.. Directory.GetFiles(Folder, "*.http").Select(file => Path.GetFileNameWithoutExtension(file)).Order()];

    [Theory(Timeout = 60_000), MemberData(nameof(Names))]
    public async Task An_answer_is_byte_for_byte_the_recorded_one(string name)
    {
        var file = Path.Combine(Folder, name + ".http");
        var (asked, expected) = Split(await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken));
        await using var server = await DoorServer.StartAsync(TestContext.Current.CancellationToken);
        server.Flamingo.Known[new string('a', 64)] = true;
        var answered = await AnswerAsync(server, asked);
        if (Environment.GetEnvironmentVariable("FLAMINGO_RECORD") == "1")
            await File.WriteAllTextAsync(file, $"{asked}\n---\n{answered}", TestContext.Current.CancellationToken);
        else Assert.Equal(expected, answered);
    }

    [Fact]
    public void There_are_recordings() => Assert.InRange(Names.Count, 15, 200);

    private static (string Request, string Answer) Split(string text) =>
        text.Split("\n---\n", 2) is [var request, var answer] ? (request, answer) : (text.TrimEnd('\n'), "");

    private static async Task<string> AnswerAsync(DoorServer server, string asked)
    {
        var (head, body) = asked.Split('\n', 2) is [var first, var rest] ? (first, rest) : (asked, "");
        var (method, path) = head.Split(' ') is [var verb, var place] ? (verb, place) : throw new InvalidDataException(head);
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (body.Length > 0) request.Content = new StringContent(body.TrimEnd('\n'), Encoding.UTF8, "application/json");
        if (body.StartsWith("--", StringComparison.Ordinal))
        {
            request.Content = new StringContent(body.Replace("\n", "\r\n", StringComparison.Ordinal) + "\r\n");
            request.Content.Headers.Remove("Content-Type");
            request.Content.Headers.TryAddWithoutValidation("Content-Type", "multipart/form-data; boundary=boundary");
        }

        using var answer = await server.Client.SendAsync(request, TestContext.Current.CancellationToken);
        var text = new StringBuilder($"{(int)answer.StatusCode} {answer.Content.Headers.ContentType}\n");
        foreach (var header in answer.Headers.Where(header => header.Key is not ("Date" or "Server" or "Transfer-Encoding")))
            text.Append($"{header.Key}: {string.Join(", ", header.Value)}\n");
        var received = await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        return text.Append('\n').Append(Id().Replace(received, "$1-ID")).Append('\n').ToString();
    }

    [GeneratedRegex("(chatcmpl|cmpl)-[0-9a-f]{32}")]
    private static partial Regex Id();
}
