using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Gateway.Doors.Tests;
using Flamingo.Testing;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.Client.Tests.MicrosoftAI;

/// <summary>The chat client of Microsoft.Extensions.AI over a scripted model behind a real gRPC port, and over the model itself.</summary>
public sealed class ChatClientTests : IAsyncLifetime
{
    private static readonly byte[] Dog = "dog"u8.ToArray();
    private static readonly DateTimeOffset Now = DateTimeOffset.FromUnixTimeSeconds(1_700_000_000);

    private ChatServer _server = null!;
    private IChatClient _chat = null!;
    private int _ids;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static DataContent Picture => new(Dog, "image/png");

    public async ValueTask InitializeAsync()
    {
        _server = await ChatServer.StartAsync();
        _chat = _server.Client.AsChatClient(new FakeTimeProvider(Now), () => $"id-{++_ids}");
    }

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact(Timeout = 60_000)]
    public async Task Every_update_says_which_answer_it_belongs_to_and_the_last_what_it_cost()
    {
        _server.Flamingo.Says = [" a", "", " dog "];
        var updates = await _chat.GetStreamingResponseAsync(new ChatMessage(ChatRole.User, [Picture]), cancellationToken: Cancellation)
            .ToListAsync(Cancellation);

        Assert.Equal(["a", " dog", ""], updates.Select(update => update.Text));
        Assert.All(updates, update => Assert.Equal(
            ("id-1", "id-2", Now, "scripted", ChatRole.Assistant),
            (update.ResponseId, update.MessageId, update.CreatedAt, update.ModelId, update.Role)));
        Assert.Equal([null, null, ChatFinishReason.Stop], updates.Select(update => update.FinishReason));
        Assert.Equal([10, 12], updates.Select(update => update.RawRepresentation).OfType<AnswerTokens>().SelectMany(tokens => tokens.Ids));
        var answer = Assert.IsType<Answer>(updates[^1].RawRepresentation);
        Assert.Equal((PictureId.Of(Dog), PictureSource.Encoded), (answer.Pictures[0].Id, answer.Pictures[0].Source));
        var usage = Assert.IsType<UsageContent>(Assert.Single(updates[^1].Contents)).Details;
        Assert.Equal(
            (7, 3, 10, 5), (usage.InputTokenCount, usage.OutputTokenCount, usage.TotalTokenCount, usage.CachedInputTokenCount));
        Assert.Equal((1, 0), (usage.AdditionalCounts!["pictures_encoded"], usage.AdditionalCounts["pictures_cached"]));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_whole_answer_is_that_of_the_stream_and_the_next_one_has_other_ids()
    {
        _server.Flamingo.Reason = Abstractions.FinishReason.Length;
        var first = await _chat.GetResponseAsync([new(ChatRole.User, [Picture])], cancellationToken: Cancellation);
        var message = Assert.Single(first.Messages);
        Assert.Equal(
            ("a dog", "id-1", "id-2", Now, "scripted", ChatFinishReason.Length),
            (first.Text, first.ResponseId, message.MessageId, first.CreatedAt, first.ModelId, first.FinishReason));
        Assert.Equal((7, 2, 5), (first.Usage!.InputTokenCount, first.Usage.OutputTokenCount, first.Usage.CachedInputTokenCount));
        Assert.Same(first.RawRepresentation, message.RawRepresentation);
        Assert.Equal("a dog", Assert.IsType<Answer>(first.RawRepresentation).Text);

        var second = await _chat.GetResponseAsync(
            [new(ChatRole.User, [new HostedFileContent(PictureId.Of(Dog))])], cancellationToken: Cancellation);
        Assert.Equal(("id-3", 1), (second.ResponseId, second.Usage!.AdditionalCounts!["pictures_cached"]));
    }

    [Fact(Timeout = 60_000)]
    public async Task The_messages_stay_as_they_are_and_a_grown_history_can_be_sent_again()
    {
        var history = new List<ChatMessage> { new(ChatRole.System, "Toys."), new(ChatRole.User, [Picture]) { AuthorName = "me" } };
        var before = JsonSerializer.Serialize(history, AIJsonUtilities.DefaultOptions);
        var updates = await _chat.GetStreamingResponseAsync(history.AsReadOnly(), cancellationToken: Cancellation)
            .ToListAsync(Cancellation);
        Assert.Equal(before, JsonSerializer.Serialize(history, AIJsonUtilities.DefaultOptions));

        history.AddMessages(updates);
        history.Add(new(ChatRole.User, [new UriContent("flamingo:" + PictureId.Of(Dog), "image/png"), new UsageContent()]));
        await _chat.GetResponseAsync(history, cancellationToken: Cancellation);
        Assert.Equal("Toys.\n[picture]Output:a dog<|endofchunk|>[picture]Output:", _server.Flamingo.Prompt);
    }

    [Fact(Timeout = 60_000)]
    public async Task Options_are_laid_over_the_request_that_the_factory_returns()
    {
        var words = new ChatMessage(ChatRole.User, "hi");
        var options = new ChatOptions
        {
            Instructions = "Be brief.", MaxOutputTokens = 9, Temperature = 0.5f, TopP = 0.9f, TopK = 4, FrequencyPenalty = 0.1f,
            PresencePenalty = 0.2f, Seed = -1, StopSequences = ["x", "y"], ModelId = "scripted", ToolMode = ChatToolMode.None, Tools = [],
            ResponseFormat = ChatResponseFormat.Text, AdditionalProperties = new() { ["of another client"] = 1 },
            RawRepresentationFactory = _ => new FlamingoChatRequest
            {
                Sampling = new() { MaxTokens = 3, MinP = 0.3f, StopStrings = ["x"], StopTokens = [8] }, ZeroShot = false,
                SupportSet = new("words", ShotSelection.Rices, 4), PinPrefix = TimeSpan.FromSeconds(3), Tenant = "team-a",
                Attention = new([1], []),
            },
        };
        var response = await _chat.GetResponseAsync(words, options, Cancellation);
        var asked = _server.Flamingo.Asked;
        Assert.Equal("Be brief.\nQuestion:hi Short answer:", _server.Flamingo.Prompt);
        Same.Content(
            new SamplingParameters
            {
                MaxTokens = 9, Temperature = 0.5f, TopP = 0.9f, TopK = 4, FrequencyPenalty = 0.1f, PresencePenalty = 0.2f,
                Seed = ulong.MaxValue, MinP = 0.3f, StopStrings = ["x", "y", "Question"], StopTokens = [8],
            }, asked.Sampling);
        Assert.Equal(
            (new SupportSetChoice("words", ShotSelection.Rices, 4), TimeSpan.FromSeconds(3), "team-a", 1),
            (asked.SupportSet, asked.PinPrefix, asked.Tenant, asked.Attention!.Layers.Single()));
        Assert.Equal("words", ((Answer)response.RawRepresentation!).Shots!.Name);

        // a request of the native API does too, and beams are reached
        await _chat.GetResponseAsync(
            words, new() { RawRepresentationFactory = _ => new FlamingoRequest([], new() { Beams = 2 }) { Tenant = "team-b" } },
            Cancellation);
        Assert.Equal((2, "team-b"), (_server.Flamingo.Asked.Sampling.Beams, _server.Flamingo.Asked.Tenant));
        await _chat.GetResponseAsync(
            words, new() { RawRepresentationFactory = _ => new FlamingoChatRequest { Task = ChatPromptTask.Raw } }, Cancellation);
        Assert.Equal("hi", _server.Flamingo.Prompt);
        await _chat.GetResponseAsync(words, new() { RawRepresentationFactory = _ => null }, Cancellation);
        Assert.Equal(32, _server.Flamingo.Asked.Sampling.MaxTokens);
    }

    public static TheoryData<string, ChatOptions> Refused => new()
    {
        { "options.Tools", new() { Tools = [AIFunctionFactory.Create(() => 1)] } },
        { "options.ToolMode", new() { ToolMode = ChatToolMode.RequireAny } },
        { "options.ResponseFormat", new() { ResponseFormat = ChatResponseFormat.Json } },
        { "options.ConversationId", new() { ConversationId = "7" } },
        { "options.Reasoning", new() { Reasoning = new() { Effort = ReasoningEffort.High } } },
        { "options.ModelId", new() { ModelId = "gpt-4" } },
        { "options.Temperature", new() { Temperature = 3 } },
        { "options.Temperature", new() { Temperature = float.NaN } },
        { "options.TopP", new() { TopP = 0 } },
        { "options.TopK", new() { TopK = -1 } },
        { "options.MaxOutputTokens", new() { MaxOutputTokens = 0 } },
        { "options.StopSequences", new() { StopSequences = [""] } },
        { "options.FrequencyPenalty", new() { FrequencyPenalty = 9 } },
        { "options.PresencePenalty", new() { PresencePenalty = -9 } },
        { "sampling.samples", new() { RawRepresentationFactory = _ => new FlamingoChatRequest { Sampling = new() { Samples = 2 } } } },
        { "zero_shot", new() { RawRepresentationFactory = _ => new FlamingoChatRequest { ZeroShot = true, SupportSet = new("a") } } },
        { "options.RawRepresentationFactory", new() { RawRepresentationFactory = _ => "a request of another client" } },
        {
            "options.RawRepresentationFactory",
            new() { RawRepresentationFactory = _ => new FlamingoRequest([new FlamingoText("x")], new()) }
        },
    };

    [Theory(Timeout = 60_000), MemberData(nameof(Refused))]
    public async Task What_cannot_be_done_is_refused_by_the_name_of_its_option(string name, ChatOptions options)
    {
        var refusal = await Assert.ThrowsAsync<FlamingoException>(
            () => _chat.GetResponseAsync(new ChatMessage(ChatRole.User, "hi"), options, Cancellation));
        Assert.Equal((FlamingoErrorKind.InvalidArgument, name), (refusal.Kind, Assert.Single(refusal.Faults).Field));
        Assert.Contains(name, refusal.Message, StringComparison.Ordinal);
    }

    public static TheoryData<string, ChatMessage[]> Hostile => new()
    {
        { "messages", [] },
        { "messages", [new(ChatRole.Assistant, "hi"), new(ChatRole.User, "hi")] },
        { "messages", [new(ChatRole.User, "hi"), new(ChatRole.Assistant, "hi")] },
        { "messages", [.. Enumerable.Repeat(new ChatMessage(ChatRole.User, "hi"), 2000)] },
        { "messages[0]", [null!] },
        { "messages[0]", [new(ChatRole.User, "")] },
        { "messages[0].Role", [new(ChatRole.Tool, "hi")] },
        { "messages[0].Role", [new(new ChatRole(new string('r', 5000)), "hi")] },
        { "messages[0].Contents[0]", [new(ChatRole.User, [null!])] },
        { "messages[0].Contents[0]", [new(ChatRole.User, [new FunctionCallContent("1", "f")])] },
        { "messages[0].Contents[0]", [new(ChatRole.User, [new TextReasoningContent("hm")])] },
        { "messages[0].Contents[0]", [new(ChatRole.User, [new DataContent(Dog, "audio/wav")])] },
        { "messages[0].Contents[0]", [new(ChatRole.User, [new DataContent(ReadOnlyMemory<byte>.Empty, "image/png")])] },
        { "messages[0].Contents[0]", [new(ChatRole.User, [new DataContent(new byte[(16 << 20) + 1], "image/png")])] },
        { "messages[0].Contents[0]", [new(ChatRole.User, [new UriContent("https://example.org/dog.png", "image/png")])] },
        { "messages[0].Contents[0]", [new(ChatRole.User, [new UriContent(new Uri("dog.png", UriKind.Relative), "image/png")])] },
        { "messages[0].Contents", [new(ChatRole.User, [.. Enumerable.Repeat(new TextContent("x"), 2000)])] },
        { "messages[0].Contents[1]", [new(ChatRole.System, [new TextContent("x"), Picture]), new(ChatRole.User, "hi")] },
    };

    [Theory(Timeout = 60_000), MemberData(nameof(Hostile))]
    public async Task What_cannot_be_read_is_refused_by_its_place(string place, ChatMessage[] messages)
    {
        foreach (var chat in new[] { _chat, _server.Flamingo.AsChatClient() })
        {
            var refusal = await Assert.ThrowsAsync<FlamingoException>(
                () => chat.GetResponseAsync(messages, cancellationToken: Cancellation));
            Assert.Equal(FlamingoErrorKind.InvalidArgument, refusal.Kind);
            Assert.StartsWith(place, refusal.Faults[0].Field, StringComparison.Ordinal);
            Assert.InRange(refusal.Message.Length, 1, 4000);
        }

        Assert.Empty(_server.Flamingo.Requests);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_refusal_of_the_server_names_the_message_and_an_unknown_picture_its_id()
    {
        var raw = new ChatOptions { RawRepresentationFactory = _ => new FlamingoChatRequest { Task = ChatPromptTask.Raw } };
        var refusal = await Assert.ThrowsAsync<FlamingoException>(
            () => _chat.GetResponseAsync(new ChatMessage(ChatRole.User, [Picture, new TextContent("a <image>")]), raw, Cancellation));
        Assert.Equal("messages[0].Contents[1].text", Assert.Single(refusal.Faults).Field);

        var unknown = new string('0', 64);
        refusal = await Assert.ThrowsAsync<FlamingoException>(
            () => _chat.GetResponseAsync(new ChatMessage(ChatRole.User, [new HostedFileContent(unknown)]), raw, Cancellation));
        Assert.Equal((FlamingoErrorKind.NotFound, unknown), (refusal.Kind, Assert.Single(refusal.Missing)));
        await Assert.ThrowsAsync<ArgumentNullException>(() => _chat.GetResponseAsync((IEnumerable<ChatMessage>)null!, null, Cancellation));
    }

    [Theory(Timeout = 60_000), InlineData(true), InlineData(false)]
    public async Task Cancelling_stops_the_computation(bool streams)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        _server.Flamingo.Gate = new TaskCompletionSource().Task;
        var message = new ChatMessage(ChatRole.User, "hi");
        if (streams)
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
            {
                await foreach (var update in _chat.GetStreamingResponseAsync(message, cancellationToken: stop.Token))
                    if (update.Text == "a") await stop.CancelAsync();
            });
        }
        else
        {
            var answer = _chat.GetResponseAsync(message, cancellationToken: stop.Token);
            while (_server.Flamingo.Requests.IsEmpty) await Task.Yield();
            await stop.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => answer);
        }

        await _server.Flamingo.Cancelled.Task.WaitAsync(Cancellation);
    }

    [Fact(Timeout = 60_000)]
    public async Task An_answer_that_is_not_read_to_its_end_stops_the_computation()
    {
        _server.Flamingo.Gate = new TaskCompletionSource().Task;
        await foreach (var update in _chat.GetStreamingResponseAsync("hi", cancellationToken: Cancellation))
        {
            Assert.Equal("a", update.Text);
            break;
        }

        await _server.Flamingo.Cancelled.Task.WaitAsync(Cancellation);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_failure_in_the_middle_is_thrown_after_what_arrived()
    {
        _server.Flamingo.FailsLater = new FlamingoException(FlamingoErrorKind.Unavailable, "A stage is gone.");
        var text = "";
        var failure = await Assert.ThrowsAsync<FlamingoException>(async () =>
        {
            await foreach (var update in _chat.GetStreamingResponseAsync("hi", cancellationToken: Cancellation)) text += update.Text;
        });
        Assert.Equal((FlamingoErrorKind.Unavailable, "a"), (failure.Kind, text));
    }

    [Fact(Timeout = 60_000)]
    public async Task Services_are_the_metadata_the_client_and_the_model_itself()
    {
        Assert.Null(_chat.GetService<ChatClientMetadata>()!.DefaultModelId);
        await _chat.GetResponseAsync("hi", cancellationToken: Cancellation);
        var metadata = _chat.GetRequiredService<ChatClientMetadata>();
        Assert.Equal(
            ("flamingo", new Uri(_server.Address), "scripted"), (metadata.ProviderName, metadata.ProviderUri, metadata.DefaultModelId));
        Assert.Same(_chat, _chat.GetService<IChatClient>());
        Assert.Same(_server.Client, _chat.GetService<FlamingoClient>());
        Assert.Same(_server.Client, _chat.GetService<IFlamingo>());
        Assert.Null(_chat.GetService<FlamingoClient>("a key"));
        Assert.Null(_chat.GetService<string>());
        Assert.Null(_server.Flamingo.AsChatClient().GetService<ChatClientMetadata>()!.ProviderUri);
        _chat.Dispose();
        Assert.Equal("a dog", (await _chat.GetResponseAsync("hi", cancellationToken: Cancellation)).Text); // the client is not disposed
    }

    [Fact(Timeout = 60_000)]
    public async Task Another_model_on_the_server_is_seen()
    {
        var (clock, model) = (new FakeTimeProvider(Now), _server.Flamingo.Model);
        var chat = _server.Client.AsChatClient(clock);
        await chat.GetResponseAsync("hi", cancellationToken: Cancellation);
        Assert.Contains("Question:hi", _server.Flamingo.Prompt, StringComparison.Ordinal);
        _server.Flamingo.Model = model with { Language = model.Language with { Prompts = Templates.Chat } };
        clock.Advance(TimeSpan.FromMinutes(1));
        await chat.GetResponseAsync("hi", cancellationToken: Cancellation);
        Assert.Equal("User: hi<end_of_utterance>\nAssistant:", _server.Flamingo.Prompt);

        // other weights answer, so the description is asked for again
        _server.Flamingo.Model = model with { Language = model.Language with { WeightsDigest = "language-2" } };
        clock.Advance(TimeSpan.FromMinutes(1));
        await chat.GetResponseAsync("hi", cancellationToken: Cancellation);
        _server.Flamingo.Model = model with { Language = model.Language with { ModelId = "next" } };
        Assert.Equal("next", (await chat.GetResponseAsync("hi", cancellationToken: Cancellation)).ModelId);
    }

    [Fact(Timeout = 60_000)]
    public async Task Several_clients_and_threads_get_their_own_answers()
    {
        using var other = new FlamingoClient(_server.Address);
        IChatClient[] chats = [_server.Client.AsChatClient(), other.AsChatClient(), _server.Flamingo.AsChatClient()];
        var answers = await Task.WhenAll(Enumerable.Range(0, 30).Select(index =>
            chats[index % 3].GetResponseAsync([new(ChatRole.User, [Picture, new TextContent($"number {index}?")])], null, Cancellation)));
        Assert.All(answers, answer => Assert.Equal("a dog", answer.Text));
        Assert.Equal(30, answers.Select(answer => answer.ResponseId).Distinct().Count());
        Assert.Equal(
            Enumerable.Range(0, 30).Select(index => $"number {index}?").Order(),
            _server.Flamingo.Requests.Select(request => ((FlamingoText)request.Segments[^1]).Text.Split(':', ' ')[1..3])
                .Select(words => string.Join(' ', words)).Order());
    }
}
