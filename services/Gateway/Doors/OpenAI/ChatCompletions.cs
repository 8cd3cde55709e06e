using Flamingo.Abstractions;
using Flamingo.Abstractions.Templates;
using Microsoft.AspNetCore.Http;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary><c>POST /v1/chat/completions</c>.</summary>
internal sealed class ChatCompletions(IFlamingo flamingo, ServedModels models, PictureFetch fetch, TimeProvider time)
{
    public async Task AnswerAsync(HttpContext context)
    {
        var tenant = OpenAiDoor.TenantOf(context);
        FlamingoModel model;
        RequestOptions options;
        RequestPictures pictures;
        IReadOnlyList<ChatMessage> messages;
        using (var body = await OpenAiJson.ReadAsync(context))
        {
            var request = new Fields(body.Root, "");
            model = await models.CheckAsync(request.Text("model"), context.RequestAborted);
            pictures = new RequestPictures(body, fetch, model);
            messages = ChatMessage.Read(request, pictures);
            options = RequestOptions.Read(request, isChat: true);
        }

        await pictures.FetchAsync(context.RequestAborted);
        OpenAiFault Translate(FlamingoException failure) => OpenAiFault.Of(failure, options.NameOf, pictures.PathOf);
        ChatPrompt prompt;
        try
        {
            prompt = new ChatPrompt([.. messages.Select(message => message.ToPrompt())], model.Language, options.Chat(tenant), "flamingo.");
        }
        catch (FlamingoException refusal)
        {
            throw Translate(refusal);
        }

        var reply = prompt.ReplyTexts();
        await AnswerStream.SendAsync(
            context, AnswerWriter.Of(isChat: true, model, time, options), options,
            flamingo.GenerateAsync(prompt.Request, context.RequestAborted).Select(reply), failure => Translate(prompt.Translate(failure)));
    }
}
