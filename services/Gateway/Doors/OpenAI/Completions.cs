using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Abstractions.Templates;
using Microsoft.AspNetCore.Http;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary>
/// <c>POST /v1/completions</c>: a whole prompt as it is, with the model's image token at the place of each picture of <c>images</c>.
/// </summary>
internal sealed class Completions(IFlamingo flamingo, ServedModels models, PictureFetch fetch, TimeProvider time)
{
    private const string Prompt = "prompt", Images = "images";

    public async Task AnswerAsync(HttpContext context)
    {
        var tenant = OpenAiDoor.TenantOf(context);
        FlamingoModel model;
        RequestOptions options;
        RequestPictures pictures;
        string prompt;
        IReadOnlyList<RequestPicture> images;
        using (var body = await OpenAiJson.ReadAsync(context))
        {
            var request = new Fields(body.Root, "");
            model = await models.CheckAsync(request.Text("model"), context.RequestAborted);
            pictures = new RequestPictures(body, fetch, model);
            prompt = Text(request);
            images = [.. request.List(Images).Select(item => pictures.Read(item.Value, item.Path))];
            options = RequestOptions.Read(request, isChat: false);
        }

        await pictures.FetchAsync(context.RequestAborted);
        var segments = Segments(prompt, images, model.Language);
        OpenAiFault Translate(FlamingoException failure) =>
            OpenAiFault.Of(segments.Translate(failure), options.NameOf, pictures.PathOf);
        var native = new FlamingoRequest(segments.Segments, options.Sampling)
        {
            Tenant = tenant, SupportSet = options.SupportSet, PinPrefix = options.Pin, Attention = options.Attention,
        };
        await AnswerStream.SendAsync(
            context, AnswerWriter.Of(isChat: false, model, time, options), options,
            flamingo.GenerateAsync(native, context.RequestAborted), Translate);
    }

    private static string Text(Fields request)
    {
        if (request.Take(Prompt) is not { } value)
            throw OpenAiFault.Invalid(Prompt, "There is no prompt.", "Send a text.", "missing_field");
        return value.ValueKind switch
        {
            JsonValueKind.String => Fields.Text(value, Prompt),
            JsonValueKind.Array when Fields.Items(value, Prompt) is [var only] => Fields.Text(only.Value, only.Path),
            JsonValueKind.Array => throw OpenAiFault.Unsupported(Prompt, "Send one text, and several prompts as several requests."),
            _ => throw Fields.WrongType(Prompt, value, "a text"),
        };
    }

    private static TaskSegments Segments(string prompt, IReadOnlyList<RequestPicture> images, LanguageModelDescription model)
    {
        var texts = prompt.Split(model.ImageToken);
        if (texts.Length - 1 != images.Count)
            throw OpenAiFault.Invalid(
                Images, $"The prompt has {texts.Length - 1} times {model.ImageToken}, and there are {images.Count} images.",
                "Send one image for each.");
        var segments = new TaskSegments(Prompt);
        foreach (var (text, picture) in texts.Zip(images))
        {
            segments.Add(text);
            segments.Add(picture.Visual!, picture.Path);
        }

        segments.Add(texts[^1]);
        return segments;
    }
}
