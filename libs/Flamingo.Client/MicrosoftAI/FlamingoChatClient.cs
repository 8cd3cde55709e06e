using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Abstractions.Templates;
using Microsoft.Extensions.AI;

namespace Flamingo.Client.MicrosoftAI;

/// <summary>A model as a chat client of Microsoft.Extensions.AI.</summary>
/// <param name="flamingo">The model. It is not disposed with this.</param>
/// <param name="newId">Makes an id that no other response and message has.</param>
internal sealed class FlamingoChatClient(IFlamingo flamingo, TimeProvider time, Func<string> newId) : IChatClient
{
    private readonly ServedModel _model = new(flamingo, time);

    public async Task<ChatResponse> GetResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        var updates = new List<ChatResponseUpdate>();
        await foreach (var update in GetStreamingResponseAsync(messages, options, cancellationToken)) updates.Add(update);
        var response = updates.ToChatResponse();
        response.RawRepresentation = updates[^1].RawRepresentation;
        foreach (var message in response.Messages) message.RawRepresentation = response.RawRepresentation;
        return response;
    }

    public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        return StreamAsync(messages, options, cancellationToken);
    }

    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(ChatClientMetadata)
                ? new ChatClientMetadata(Provider.Name, Provider.AddressOf(flamingo), _model.Known?.Language.ModelId)
            : serviceType.IsInstanceOfType(this) ? this
            : serviceType.IsInstanceOfType(flamingo) ? flamingo
            : null;
    }

    public void Dispose()
    {
    }

    private async IAsyncEnumerable<ChatResponseUpdate> StreamAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var (model, prompt) = await TranslateAsync(null, async () =>
        {
            var request = ChatRequest.Of(options, this);
            var model = await _model.GetAsync(options?.ModelId, cancellation);
            return (model, new ChatPrompt(ChatContents.Read(messages, options?.Instructions, model), model.Language, request));
        });
        var (responseId, messageId, created) = (newId(), newId(), time.GetUtcNow());
        var (reply, gathered, any) = (prompt.ReplyTexts(), new AnswerBuilder(), false);
        await using var events = flamingo.GenerateAsync(prompt.Request, cancellation).GetAsyncEnumerator(cancellation);
        while (await TranslateAsync(prompt, () => events.MoveNextAsync().AsTask()))
        {
            var item = reply(events.Current);
            gathered.Add(item);
            // a token that completes no text yet is told only where there is more to tell of it
            if (item is not AnswerTokens tokens || (any && tokens is { Text: "", LogProbabilities.Count: 0, Attention.Count: 0 })) continue;
            any = true;
            yield return Update(tokens.Text.Length > 0 ? [new TextContent(tokens.Text)] : [], tokens, null);
        }

        var answer = gathered.Build();
        _model.Check(answer.Finished.Digests);
        var reason = answer.Finished.Reason == FinishReason.Length ? ChatFinishReason.Length : ChatFinishReason.Stop;
        yield return Update([new UsageContent(Provider.UsageOf(answer))], answer, reason);

        ChatResponseUpdate Update(IList<AIContent> contents, object raw, ChatFinishReason? finish)
        {
            foreach (var content in contents) content.RawRepresentation = raw;
            return new ChatResponseUpdate(ChatRole.Assistant, contents)
            {
                ResponseId = responseId, MessageId = messageId, CreatedAt = created, ModelId = model.Language.ModelId,
                FinishReason = finish, RawRepresentation = raw,
            };
        }
    }

    // Makes a refusal one in the caller's terms.
    private async Task<T> TranslateAsync<T>(ChatPrompt? prompt, Func<Task<T>> ask)
    {
        try
        {
            return await ask();
        }
        catch (FlamingoException refusal)
        {
            _model.Check(refusal);
            var translated = ChatRequest.Translate(prompt?.Translate(refusal) ?? refusal);
            if (translated == refusal) throw;
            throw translated;
        }
    }
}
