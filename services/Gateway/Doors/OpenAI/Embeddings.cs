using System.Text.Json;
using Flamingo.Abstractions;
using Microsoft.AspNetCore.Http;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary><c>POST /v1/embeddings</c>: CLIP's pooled embeddings of pictures.</summary>
internal sealed class Embeddings(IFlamingo flamingo, ServedModels models, PictureFetch fetch)
{
    private const string Input = "input", Content = "content";
    private const string Remedy = "Send a data URL or the id of a picture.";

    public async Task AnswerAsync(HttpContext context)
    {
        var tenant = OpenAiDoor.TenantOf(context);
        FlamingoModel model;
        RequestPictures pictures;
        List<RequestPicture> asked;
        bool inBase64;
        using (var body = await OpenAiJson.ReadAsync(context))
        {
            var request = new Fields(body.Root, "");
            model = await models.CheckAsync(request.Text("model"), context.RequestAborted);
            pictures = new RequestPictures(body, fetch, model);
            asked = Read(request, pictures);
            inBase64 = request.Text("encoding_format") switch
            {
                null or "float" => false,
                "base64" => true,
                var other => throw OpenAiFault.Invalid(
                    "encoding_format", $"'{OpenAiFault.Quote(other)}' is no format.", "Send float or base64."),
            };
            if (request.Whole("dimensions") is { } dimensions && dimensions != model.Vision.PooledWidth)
                throw OpenAiFault.Unsupported("dimensions", $"Leave it out: embeddings have {model.Vision.PooledWidth} numbers.");
            request.Ignore("user");
            request.RefuseOthers();
        }

        await pictures.FetchAsync(context.RequestAborted);
        try
        {
            var encoding = await flamingo.EncodeAsync(
                new FlamingoEncodeRequest([.. asked.Select(picture => picture.Visual!)], IncludePooled: true) { Tenant = tenant },
                context.RequestAborted);
            await OpenAiJson.WriteAsync(context, json => Write(json, model, encoding, inBase64));
        }
        catch (FlamingoException failure)
        {
            throw OpenAiFault.Of(failure, field => NameOf(field, asked), pictures.PathOf);
        }
    }

    private static List<RequestPicture> Read(Fields request, RequestPictures pictures)
    {
        var content = request.List(Content);
        if (request.Take(Input) is not { } input)
            return content.Count > 0
                ? Parts(content, Content, pictures)
                : throw OpenAiFault.Invalid(Input, "There is no picture.", Remedy, "missing_field");
        if (content.Count > 0) throw OpenAiFault.Invalid(Content, "There is an input too.", "Send one of them.");
        if (input.ValueKind != JsonValueKind.Array) return ReadOne(input, Input, pictures);
        var items = Fields.Items(input, Input);
        return items.Count > 0
            ? [.. items.SelectMany(item => ReadOne(item.Value, item.Path, pictures))]
            : throw OpenAiFault.Invalid(Input, "There is no picture.", Remedy);
    }

    // A text is a picture's address; an object has a list of parts.
    private static List<RequestPicture> ReadOne(JsonElement value, string path, RequestPictures pictures)
    {
        if (value.ValueKind == JsonValueKind.String) return [pictures.Read(value, path)];
        if (value.ValueKind != JsonValueKind.Object) throw Fields.WrongType(path, value, "a data URL or the id of a picture");
        var fields = new Fields(value, path);
        var parts = Parts(fields.List(Content), fields.Path(Content), pictures);
        fields.RefuseOthers();
        return parts;
    }

    private static List<RequestPicture> Parts(
        IReadOnlyList<(JsonElement Value, string Path)> list, string path, RequestPictures pictures)
    {
        var parts = ChatMessage.ReadParts(list, path, pictures);
        if (parts.FirstOrDefault(part => part.Picture is null) is { } text)
            throw OpenAiFault.Invalid(text.Path, "This model embeds pictures, not texts.", Remedy);
        return parts.Count > 0
            ? [.. parts.Select(part => part.Picture!)]
            : throw OpenAiFault.Invalid(path, "There is no picture.", Remedy);
    }

    private static string NameOf(string field, List<RequestPicture> asked)
    {
        const string Start = "pictures[";
        if (field == "include_pooled" || !field.StartsWith(Start, StringComparison.Ordinal)) return Input;
        return asked[int.Parse(field.AsSpan(Start.Length, field.IndexOf(']', StringComparison.Ordinal) - Start.Length),
            provider: null)].Path;
    }

    private static void Write(Utf8JsonWriter json, FlamingoModel model, FlamingoEncoding encoding, bool inBase64)
    {
        json.WriteStartObject();
        json.WriteString("object", "list");
        json.WriteStartArray("data");
        foreach (var (index, pooled) in encoding.Pooled.Index())
        {
            json.WriteStartObject();
            json.WriteString("object", "embedding");
            json.WriteNumber("index", index);
            if (inBase64)
            {
                json.WriteBase64String("embedding", pooled.Dtype == TensorDtype.Float32
                    ? pooled.Bytes.Span
                    : TensorData.FromFloats(pooled.ToFloats(), pooled.Shape.AsSpan()).Bytes.Span);
            }
            else
            {
                json.WriteStartArray("embedding");
                foreach (var value in pooled.ToFloats()) json.WriteNumberValue(value);
                json.WriteEndArray();
            }

            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteString("model", model.Language.ModelId);
        json.WriteStartObject("usage"); // no text is read
        json.WriteNumber("prompt_tokens", 0);
        json.WriteNumber("total_tokens", 0);
        json.WriteEndObject();
        json.WriteStartObject("flamingo");
        OwnJson.Pictures(json, encoding.Pictures, encoding.Cache);
        OwnJson.Timings(json, encoding.Timings);
        OwnJson.Digests(json, encoding.Digests);
        json.WriteEndObject();
        json.WriteEndObject();
    }
}
