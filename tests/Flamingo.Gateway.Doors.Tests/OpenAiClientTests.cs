using System.ClientModel;
using System.ClientModel.Primitives;
using System.Text;
using Flamingo.Abstractions;
using Microsoft.Extensions.AI;
using OpenAI;
using OpenAI.Chat;
using OpenAI.Embeddings;
using OpenAI.Files;
using OpenAI.Models;
using ChatFinishReason = OpenAI.Chat.ChatFinishReason;
using ChatMessage = OpenAI.Chat.ChatMessage;

namespace Flamingo.Gateway.Doors.Tests;

/// <summary>OpenAI's own client for .NET, unmodified, and Microsoft.Extensions.AI's adaptor on top of it.</summary>
public sealed class OpenAiClientTests
{
    private static readonly BinaryData Dog = BinaryData.FromBytes(Encoding.UTF8.GetBytes("dog"));

    [Fact(Timeout = 60_000)]
    public async Task A_chat_is_answered_whole()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await DoorServer.StartAsync(cancellation);
        var client = Client(server).GetChatClient("scripted");
        ChatMessage[] messages =
        [
            new SystemChatMessage("Be brief."),
            new UserChatMessage(ChatMessageContentPart.CreateImagePart(Dog, "image/png"), ChatMessageContentPart.CreateTextPart("what?")),
            new AssistantChatMessage("a cat"),
            new UserChatMessage(
                ChatMessageContentPart.CreateImagePart(Dog, "image/png", ChatImageDetailLevel.Low),
                ChatMessageContentPart.CreateTextPart("and this?")),
        ];

        ChatCompletion answer = await client.CompleteChatAsync(
            messages, new ChatCompletionOptions
            {
                MaxOutputTokenCount = 9, Temperature = 0.5f, TopP = 0.9f, FrequencyPenalty = 0.5f, PresencePenalty = -0.5f,
                StopSequences = { "\n" }, EndUserId = "me", StoredOutputEnabled = false,
                ResponseFormat = global::OpenAI.Chat.ChatResponseFormat.CreateTextFormat(),
            }, cancellation);

        Assert.Equal("a dog", answer.Content.Single().Text);
        Assert.Equal((ChatFinishReason.Stop, ChatMessageRole.Assistant, "scripted"), (answer.FinishReason, answer.Role, answer.Model));
        Assert.Equal((7, 2, 9), (answer.Usage.InputTokenCount, answer.Usage.OutputTokenCount, answer.Usage.TotalTokenCount));
        Assert.Equal(5, answer.Usage.InputTokenDetails.CachedTokenCount);
        Assert.Equal(DateTimeOffset.FromUnixTimeSeconds(1_700_000_000), answer.CreatedAt);
        Assert.Equal(
            "Be brief.\n[picture]Question:what? Short answer:a cat<|endofchunk|>[picture]Question:and this? Short answer:",
            server.Flamingo.Prompt);
        var sampling = server.Flamingo.Asked.Sampling;
        Assert.Equal(
            (9, 0.5f, 0.9f, 0.5f, -0.5f),
            (sampling.MaxTokens, sampling.Temperature, sampling.TopP, sampling.FrequencyPenalty, sampling.PresencePenalty));
        Assert.Equal("\n", sampling.StopStrings[0]);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_chat_is_streamed_with_its_usage()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await DoorServer.StartAsync(cancellation);
        server.Flamingo.Reason = FinishReason.Length;
        var updates = await Client(server).GetChatClient("scripted")
            .CompleteChatStreamingAsync([new UserChatMessage("what?")], cancellationToken: cancellation).ToListAsync(cancellation);
        Assert.Equal("a dog", string.Concat(updates.SelectMany(update => update.ContentUpdate).Select(part => part.Text)));
        Assert.Equal([ChatFinishReason.Length], updates.Select(update => update.FinishReason).OfType<ChatFinishReason>());
        Assert.Equal(ChatMessageRole.Assistant, updates[0].Role);
        Assert.Equal((7, 2), updates.Select(update => update.Usage).OfType<ChatTokenUsage>()
            .Select(usage => (usage.InputTokenCount, usage.OutputTokenCount)).Single());
        Assert.Single(updates.Select(update => update.CompletionId).Distinct());
    }

    [Fact(Timeout = 60_000)]
    public async Task Log_probabilities_hold_bytes()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await DoorServer.StartAsync(cancellation);
        ChatCompletion answer = await Client(server).GetChatClient("scripted").CompleteChatAsync(
            [new UserChatMessage("what?")],
            new ChatCompletionOptions { IncludeLogProbabilities = true, TopLogProbabilityCount = 2 }, cancellation);
        var tokens = answer.ContentTokenLogProbabilities;
        Assert.Equal([" a", " dog"], tokens.Select(token => token.Token));
        Assert.All(tokens, token => Assert.Equal(-0.5f, token.LogProbability));
        Assert.Equal(" dog"u8.ToArray(), tokens[1].Utf8Bytes!.Value.ToArray());
        Assert.Equal([0xE2, 0x81], tokens[1].TopLogProbabilities[1].Utf8Bytes!.Value.ToArray());
    }

    [Fact(Timeout = 60_000)]
    public async Task Embeddings_and_models_are_understood()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await DoorServer.StartAsync(cancellation);
        var picture = $"data:image/png;base64,{Convert.ToBase64String(Dog)}";
        OpenAIEmbeddingCollection embeddings = await Client(server).GetEmbeddingClient("scripted")
            .GenerateEmbeddingsAsync([picture, picture], cancellationToken: cancellation);
        Assert.Equal([0, 0.5f, -1], embeddings[0].ToFloats().ToArray());
        Assert.Equal([1, 0.5f, -1], embeddings[1].ToFloats().ToArray());

        OpenAIModelCollection models = await Client(server).GetOpenAIModelClient().GetModelsAsync(cancellation);
        Assert.Equal(["scripted"], models.Select(model => model.Id));
        OpenAIModel model = await Client(server).GetOpenAIModelClient().GetModelAsync("scripted", cancellation);
        Assert.Equal("flamingo", model.OwnedBy);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_file_is_sent_once_and_named_by_its_id()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await DoorServer.StartAsync(cancellation);
        var files = Client(server).GetOpenAIFileClient();
        OpenAIFile file = await files.UploadFileAsync(new MemoryStream(Dog.ToArray()), "dog.png", FileUploadPurpose.Vision, cancellation);
        Assert.Equal((PictureId.Of(Dog), "dog.png", FilePurpose.Vision), (file.Id, file.Filename, file.Purpose));
        OpenAIFile again = await files.GetFileAsync(file.Id, cancellation);
        Assert.Equal(file.Id, again.Id);
        FileDeletionResult deletion = await files.DeleteFileAsync(file.Id, cancellation);
        Assert.False(deletion.Deleted);

#pragma warning disable OPENAI001 // the part is for evaluation there
        await Client(server).GetChatClient("scripted").CompleteChatAsync(
            [new UserChatMessage(ChatMessageContentPart.CreateFilePart(file.Id))], cancellationToken: cancellation);
#pragma warning restore OPENAI001
        Assert.Equal([new FlamingoPictureId(file.Id)], server.Flamingo.Asked.Segments.OfType<FlamingoVisual>());
    }

    [Fact(Timeout = 60_000)]
    public async Task Errors_are_exceptions_with_their_status()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await DoorServer.StartAsync(cancellation);
        async Task<ClientResultException> RefusedAsync(string model) => await Assert.ThrowsAsync<ClientResultException>(() =>
            Client(server).GetChatClient(model).CompleteChatAsync([new UserChatMessage("what?")], cancellationToken: cancellation));

        var unknown = await RefusedAsync("gpt-4o");
        Assert.Equal(404, unknown.Status);
        Assert.Contains("model_not_found", unknown.Message, StringComparison.Ordinal);
        server.Flamingo.Fails = new FlamingoException(FlamingoErrorKind.Overloaded, "Too many.") { RetryAfter = TimeSpan.FromSeconds(1) };
        Assert.Equal(429, (await RefusedAsync("scripted")).Status);
        await Assert.ThrowsAsync<ClientResultException>(async () =>
            await Client(server).GetChatClient("scripted").CompleteChatStreamingAsync([new UserChatMessage("what?")],
                cancellationToken: cancellation).ToListAsync(cancellation));
    }

    [Fact(Timeout = 60_000)]
    public async Task Microsofts_adaptor_chats_streams_and_embeds()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await DoorServer.StartAsync(cancellation);
        using var chat = Client(server).GetChatClient("scripted").AsIChatClient();
        Microsoft.Extensions.AI.ChatMessage[] messages =
            [new(ChatRole.User, [new DataContent(Dog.ToMemory(), "image/png"), new TextContent("what?")])];
        var options = new ChatOptions { MaxOutputTokens = 5, Temperature = 0, Seed = 3, StopSequences = ["\n"] };

        var answer = await chat.GetResponseAsync(messages, options, cancellation);
        Assert.Equal(("a dog", "scripted"), (answer.Text, answer.ModelId));
        Assert.Equal((7, 2, 5), (answer.Usage!.InputTokenCount, answer.Usage.OutputTokenCount, answer.Usage.CachedInputTokenCount));
        Assert.Equal(Microsoft.Extensions.AI.ChatFinishReason.Stop, answer.FinishReason);
        Assert.Equal((5, 3ul), (server.Flamingo.Asked.Sampling.MaxTokens, server.Flamingo.Asked.Sampling.Seed));

        var streamed = await chat.GetStreamingResponseAsync(messages, options, cancellation).ToChatResponseAsync(cancellation);
        Assert.Equal(("a dog", 7), (streamed.Text, streamed.Usage!.InputTokenCount));

        await chat.GetResponseAsync(
            [new(ChatRole.User, [new HostedFileContent(PictureId.Of(Dog))])], options, cancellation);
        Assert.Equal([new FlamingoPictureId(PictureId.Of(Dog))], server.Flamingo.Asked.Segments.OfType<FlamingoVisual>());

        using var embedder = Client(server).GetEmbeddingClient("scripted").AsIEmbeddingGenerator();
        var vector = await embedder.GenerateVectorAsync($"flamingo:{PictureId.Of(Dog)}", cancellationToken: cancellation);
        Assert.Equal([0, 0.5f, -1], vector.ToArray());
    }

    private static OpenAIClient Client(DoorServer server) => new(
        new ApiKeyCredential("none"),
        new OpenAIClientOptions { Endpoint = new Uri(server.Address + "/v1"), RetryPolicy = new ClientRetryPolicy(maxRetries: 0) });
}
