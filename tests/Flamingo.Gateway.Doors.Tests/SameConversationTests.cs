using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Client;
using Flamingo.Testing;
using Microsoft.Extensions.AI;

namespace Flamingo.Gateway.Doors.Tests;

/// <summary>
/// One conversation is one native request, one answer and one refusal, whether it comes as OpenAI's JSON or through
/// <see cref="IChatClient"/>.
/// </summary>
public sealed class SameConversationTests
{
    private static readonly string[] More =
    [
        """{"messages":[{"role":"developer","content":"Be brief. "},{"role":"system","content":"Toys."},{"role":"user","content":"hi"}]}""",
        """
        {"messages":[{"role":"user","content":[{"type":"text","text":"one"},{"type":"text","text":"two"},
        {"type":"image_url","image_url":"data:image/png;base64,ZG9n"},{"type":"text","text":"three <|endofchunk|>"},
        {"type":"text","text":"four <image>"}]}]}
        """,
        """{"messages":[{"role":"user","content":"hi"}],"max_tokens":5,"temperature":0.5,"seed":7,"stop":["x"],"top_p":0.5}""",
        """{"messages":[{"role":"user","content":"hi"}],"flamingo":{"beams":2,"pin":3,"support_set":{"name":"words"}}}""",
        """{"messages":[{"role":"user","content":""}]}""",
        """{"messages":[{"role":"user","content":"hi"},{"role":"user","content":"hi"}]}""",
        """{"messages":[{"role":"assistant","content":"hi"}]}""",
        """{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":""},{"role":"user","content":"hi"}]}""",
        """{"messages":[{"role":"user","content":"hi"},{"role":"system","content":"hi"}]}""",
        """{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hi"}],"flamingo":{"zero_shot":true}}""",
        """{"messages":[{"role":"user","content":"hi"}],"temperature":3}""",
        """{"messages":[{"role":"user","content":"hi"}],"flamingo":{"task":"caption"}}""",
        """
        {"messages":[{"role":"user","content":[{"type":"image_url","image_url":"data:image/png;base64,ZG9n"},
        {"type":"text","text":"hi"}]}],"flamingo":{"task":"caption"}}
        """,
    ];

    public static TheoryData<string, bool> Conversations =>
    [
        .. ConversationPageTests.Conversations
            .Select(row => new TheoryDataRow<string, bool>(ConversationPageTests.Whole(row.Data.Item2), IsChat(row.Data.Item1))),
        .. More.Select(request => new TheoryDataRow<string, bool>(request, false)),
        .. More.Select(request => new TheoryDataRow<string, bool>(request, true)),
    ];

    [Theory(Timeout = 60_000), MemberData(nameof(Conversations))]
    public async Task A_conversation_is_the_same_through_both_doors(string request, bool isChat)
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await DoorServer.StartAsync(cancellation);
        var flamingo = server.Flamingo;
        if (isChat) flamingo.Model = flamingo.Model with { Language = flamingo.Model.Language with { Prompts = Templates.Chat } };
        foreach (var number in Enumerable.Range(1, 3)) flamingo.Known[ConversationPageTests.Id(number)] = true;
        flamingo.Says = ["  a", "", " dog ", "  "];
        using var answered = await server.ChatAsync(request);
        var told = JsonElement.Parse(await answered.Content.ReadAsStringAsync(cancellation));
        var native = flamingo.Requests.LastOrDefault();
        flamingo.Requests.Clear();

        var (messages, options) = Read(JsonElement.Parse(request));
        var chat = flamingo.AsChatClient();
        if (answered.IsSuccessStatusCode)
        {
            var response = await chat.GetResponseAsync(messages, options, cancellation);
            Same.Content(native, flamingo.Asked);
            Assert.Equal(told.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString(), response.Text);
            Assert.Equal(told.GetProperty("usage").GetProperty("prompt_tokens").GetInt64(), response.Usage!.InputTokenCount);
            return;
        }

        var refusal = await Assert.ThrowsAsync<FlamingoException>(() => chat.GetResponseAsync(messages, options, cancellation));
        // the sentence is the same; the names of fields are those of the door
        Assert.Contains(
            refusal.Faults[0].Problem, told.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    private static bool IsChat(string title) => title.StartsWith("Chat template", StringComparison.Ordinal);

    private static (List<ChatMessage>, ChatOptions) Read(JsonElement request)
    {
        var messages = request.GetProperty("messages").EnumerateArray().Select(message => new ChatMessage(
            new ChatRole(message.GetProperty("role").GetString()!),
            message.GetProperty("content") is { ValueKind: JsonValueKind.Array } parts
                ? [.. parts.EnumerateArray().Select(Part)]
                : [new TextContent(message.GetProperty("content").GetString())])).ToList();
        var own = Of(request, "flamingo");
        var options = new ChatOptions
        {
            MaxOutputTokens = Of(request, "max_tokens")?.GetInt32(), Temperature = Of(request, "temperature")?.GetSingle(),
            TopP = Of(request, "top_p")?.GetSingle(), Seed = Of(request, "seed")?.GetInt64(),
            StopSequences = Of(request, "stop")?.EnumerateArray().Select(stop => stop.GetString()!).ToList(),
            RawRepresentationFactory = _ => new FlamingoChatRequest
            {
                Sampling = new() { Beams = Of(own, "beams")?.GetInt32() ?? 1 }, ZeroShot = Of(own, "zero_shot")?.GetBoolean(),
                Task = Of(own, "task") is { } task ? Enum.Parse<ChatPromptTask>(task.GetString()!, ignoreCase: true) : null,
                PinPrefix = Of(own, "pin") is { } pin ? TimeSpan.FromSeconds(pin.GetInt32()) : null,
                SupportSet = Of(own, "support_set") is { } set ? new(set.GetProperty("name").GetString()!, ShotSelection.All) : null,
            },
        };
        return (messages, options);
    }

    private static AIContent Part(JsonElement part)
    {
        if (part.GetProperty("type").GetString() == "text") return new TextContent(part.GetProperty("text").GetString());
        var picture = part.GetProperty("image_url");
        var url = (picture.ValueKind == JsonValueKind.Object ? picture.GetProperty("url") : picture).GetString()!;
        return url.StartsWith("data:", StringComparison.Ordinal) ? new DataContent(url) : new HostedFileContent(url["flamingo:".Length..]);
    }

    private static JsonElement? Of(JsonElement? value, string name) =>
        value is { } element && element.TryGetProperty(name, out var member) ? member : null;
}
