using System.Text.Json;
using System.Text.RegularExpressions;
using Flamingo.Abstractions;
using Flamingo.Testing;

namespace Flamingo.Gateway.Doors.Tests;

/// <summary>The conversations of docs/openai.md become the prompts that the page shows.</summary>
public sealed partial class ConversationPageTests
{
    private static string Page { get; } = File.ReadAllText(RepositoryFiles.Path("docs", "openai.md"));

    public static TheoryData<string, string, string> Conversations =>
    [
        .. Conversation().Matches(Page)
            .Select(match => new TheoryDataRow<string, string, string>(
                match.Groups[1].Value, match.Groups[2].Value, match.Groups[3].Value)),
    ];

    [Fact]
    public void The_page_has_ten_conversations() => Assert.Equal(10, Conversations.Count);

    [Theory(Timeout = 60_000), MemberData(nameof(Conversations))]
    public async Task A_conversation_becomes_the_prompt_of_the_page(string title, string request, string prompt)
    {
        await using var server = await DoorServer.StartAsync(TestContext.Current.CancellationToken);
        var model = server.Flamingo.Model;
        if (title.StartsWith("Chat template", StringComparison.Ordinal))
            server.Flamingo.Model = model with { Language = model.Language with { Prompts = Templates.Chat } };
        foreach (var number in Enumerable.Range(1, 3)) server.Flamingo.Known[Id(number)] = true;

        await server.AskAsync("/v1/chat/completions", Whole(request));

        Assert.Equal(prompt, server.Flamingo.Prompt);
        // the pictures are in their order
        Assert.Equal(
            ShortId().Matches(request).Select(match => Id(int.Parse(match.Groups[1].ValueSpan, provider: null))),
            server.Flamingo.Asked.Segments.OfType<FlamingoPictureId>().Select(picture => picture.Id));
    }

    /// <summary>A request of the page with whole picture ids.</summary>
    public static string Whole(string request) =>
        ShortId().Replace(request, match => $"\"flamingo:{Id(int.Parse(match.Groups[1].ValueSpan, provider: null))}\"");

    public static string Id(int number) => new((char)('0' + number), 64);

    [GeneratedRegex(@"^### \d+\. (.*)\n\n```json\n((?s:.*?))\n```\n\n```text\n((?s:.*?))\n```$", RegexOptions.Multiline)]
    private static partial Regex Conversation();

    [GeneratedRegex("\"flamingo:([0-9])\"")]
    private static partial Regex ShortId();
}
