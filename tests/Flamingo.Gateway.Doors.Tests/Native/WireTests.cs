using System.Diagnostics;
using System.Text;
using Flamingo.Abstractions;
using Flamingo.Gateway.Doors.Tests.Ports;
using Flamingo.Testing;

namespace Flamingo.Gateway.Doors.Tests.Native;

/// <summary>
/// Holds requests and answers of the native API as JSON to recorded files, so that a change of form is seen in review. A file has the
/// request line, headers, an empty line and the body; then <c>---</c> and the answer in the same form. A first line such as
/// <c># the model: overloaded</c> says what the model does. With FLAMINGO_RECORD=1 the answers are written anew.
/// </summary>
public sealed class WireTests
{
    private const string Separator = "\n---\n";

    private static string Folder => RepositoryFiles.Path("tests", "Flamingo.Gateway.Doors.Tests", "Native", "Wire");

    public static TheoryData<string> Names =>
        [.. Directory.GetFiles(Folder, "*.http").Select(file => Path.GetFileNameWithoutExtension(file)).Order(StringComparer.Ordinal)];

    [Theory(Timeout = 60_000), MemberData(nameof(Names))]
    public async Task An_exchange_is_as_recorded(string name)
    {
        var file = Path.Combine(Folder, name + ".http");
        var recorded = (await File.ReadAllTextAsync(file)).ReplaceLineEndings("\n").Split(Separator);
        var request = recorded[0];
        var model = new ScriptedModel();
        if (request.StartsWith('#'))
        {
            var (first, rest) = Cut(request, "\n");
            (model.Refuses, model.Breaks, request) = (Refusal(first), Break(first), rest);
        }

        await using var server = await PortServer.StartAsync(model, TestContext.Current.CancellationToken);
        var answer = await AskAsync(server, request);
        Assert.DoesNotContain(server.Logs.GetSnapshot(), record => record.Exception is not null);
        if (Environment.GetEnvironmentVariable("FLAMINGO_RECORD") == "1")
            await File.WriteAllTextAsync(file, recorded[0].TrimEnd('\n') + Separator + answer + "\n");
        else Assert.Equal(recorded[1].TrimEnd('\n'), answer);
    }

    private static async Task<string> AskAsync(PortServer server, string request)
    {
        var (head, body) = Cut(request.TrimEnd('\n'), "\n\n");
        var lines = head.Split('\n');
        // The client sends the trace that runs.
        using var call = new Activity("the recorded call").SetParentId(
            ActivityTraceId.CreateFromString("0af7651916cd43dd8448eb211c80319c"), ActivitySpanId.CreateFromString("b7ad6b7169203331"),
            ActivityTraceFlags.Recorded).Start();
        using var message = new HttpRequestMessage(new HttpMethod(lines[0].Split(' ')[0]), lines[0].Split(' ')[1]);
        message.Headers.Add("x-request-id", "recorded");
        if (body.Length > 0) message.Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body));
        foreach (var line in lines.Skip(1))
        {
            var (name, value) = Cut(line, ": ");
            if (!message.Headers.TryAddWithoutValidation(name, value)) message.Content!.Headers.TryAddWithoutValidation(name, value);
        }

        using var response = await server.Http.SendAsync(message);
        var answer = new StringBuilder($"{(int)response.StatusCode}\n");
        foreach (var (name, values) in response.Headers.Concat(response.Content.Headers)
            .OrderBy(one => one.Key, StringComparer.OrdinalIgnoreCase))
            if (name.ToLowerInvariant() is not ("date" or "server" or "transfer-encoding" or "content-length"))
                answer.Append($"{name.ToLowerInvariant()}: {string.Join(", ", values)}\n");
        return (answer + "\n" + await response.Content.ReadAsStringAsync()).TrimEnd('\n');
    }

    private static FlamingoException? Refusal(string line) => line switch
    {
        "# the model: overloaded" => new(FlamingoErrorKind.Overloaded, "All places are taken.") { RetryAfter = TimeSpan.FromSeconds(1.5) },
        "# the model: without a stage" => new(FlamingoErrorKind.Unavailable, "The language model cannot be reached."),
        "# the model: without the picture" =>
            new(FlamingoErrorKind.NotFound, "A picture is unknown.") { Missing = [ScriptedModel.PictureId] },
        "# the model: breaks" => null,
        _ => throw new InvalidOperationException(line),
    };

    private static FlamingoException? Break(string line) =>
        line == "# the model: breaks" ? new(FlamingoErrorKind.Unavailable, "The language model is gone.") : null;

    private static (string Before, string After) Cut(string text, string separator) =>
        text.IndexOf(separator, StringComparison.Ordinal) is >= 0 and var at ? (text[..at], text[(at + separator.Length)..]) : (text, "");
}
