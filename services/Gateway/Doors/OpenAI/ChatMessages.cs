using System.Text.Json;
using Flamingo.Abstractions.Templates;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary>A text or a picture of a message.</summary>
/// <param name="Text">Null for a picture.</param>
/// <param name="Picture">Null for a text.</param>
/// <param name="Path">Path of the part in the request.</param>
internal sealed record MessagePart(string? Text, RequestPicture? Picture, string Path);

/// <param name="Role">A role of <see cref="PromptMessage"/>.</param>
internal sealed record ChatMessage(string Role, IReadOnlyList<MessagePart> Parts, string Path)
{
    /// <summary>The message for a prompt, once the files of all pictures are fetched.</summary>
    public PromptMessage ToPrompt() =>
        new(Role, [.. Parts.Select(part => new PromptPart(part.Text, part.Picture?.Visual, part.Path))], Path);

    /// <summary>Reads the <c>messages</c> of a request.</summary>
    public static IReadOnlyList<ChatMessage> Read(Fields request, RequestPictures pictures)
    {
        var list = request.List("messages");
        if (list.Count == 0)
            throw OpenAiFault.Invalid("messages", "There is no message.", "Send at least one of role user.", "missing_field");
        CheckCount("messages", "messages", list.Count, PromptMessage.MostMessages);
        return [.. list.Select(item => Read(new Fields(item.Value, item.Path), item.Path, pictures))];
    }

    /// <summary>Reads a list of parts.</summary>
    public static IReadOnlyList<MessagePart> ReadParts(IReadOnlyList<(JsonElement Value, string Path)> list, string path,
        RequestPictures pictures)
    {
        CheckCount(path, "parts", list.Count, PromptMessage.MostParts);
        return [.. list.Select(item => Part(new Fields(item.Value, item.Path), item.Path, pictures))];
    }

    private static ChatMessage Read(Fields message, string path, RequestPictures pictures)
    {
        var name = message.Text("role") ?? throw OpenAiFault.Invalid(
            message.Path("role"), "There is no role.", "Send system, user or assistant.", "missing_field");
        var role = PromptMessage.RoleOf(name) ?? throw OpenAiFault.Unsupported(
            message.Path("role"), $"'{OpenAiFault.Quote(name)}' is none of system, developer, user and assistant.");
        var at = message.Path("content");
        var content = message.Take("content")
            ?? throw OpenAiFault.Invalid(at, "There is no content.", "Send a text or a list of parts.", "missing_field");
        IReadOnlyList<MessagePart> parts = content.ValueKind switch
        {
            JsonValueKind.String => [new MessagePart(Fields.Text(content, at), null, at)],
            JsonValueKind.Array => ReadParts(Fields.Items(content, at), at, pictures),
            _ => throw Fields.WrongType(at, content, "a text or a list of parts"),
        };
        message.RefuseOthers();
        if (role != PromptMessage.User && parts.FirstOrDefault(part => part.Picture is not null) is { } picture)
            throw OpenAiFault.Invalid(picture.Path, $"A message of role {role} has a picture.", "Send pictures in messages of role user.");
        return new ChatMessage(role, parts, path);
    }

    private static MessagePart Part(Fields part, string path, RequestPictures pictures)
    {
        var type = part.Text("type");
        var read = type switch
        {
            "text" => new MessagePart(
                part.Text("text") ?? throw OpenAiFault.Invalid(part.Path("text"), "There is no text.", "Send a text.", "missing_field"),
                null, part.Path("text")),
            "image_url" => Picture(
                part.Take("image_url") is { } url ? pictures.Read(url, part.Path("image_url")) : null, part.Path("image_url")),
            "file" => Picture(File(part.Object("file"), pictures), part.Path("file")),
            null => throw OpenAiFault.Invalid(part.Path("type"), "There is no type.", "Send text, image_url or file.", "missing_field"),
            _ => throw OpenAiFault.Unsupported(
                part.Path("type"), $"'{OpenAiFault.Quote(type)}' is none of text, image_url and file."),
        };
        part.RefuseOthers();
        return read;
    }

    private static MessagePart Picture(RequestPicture? picture, string path) => picture is null
        ? throw OpenAiFault.Invalid(path, "There is no picture.", "Send a data URL or the id of a picture.", "missing_field")
        : new MessagePart(null, picture, picture.Path);

    private static RequestPicture? File(Fields? file, RequestPictures pictures)
    {
        if (file is null) return null;
        var id = file.Text("file_id");
        file.RefuseOthers();
        return id is null ? null : pictures.ReadId(id, file.Path("file_id"));
    }

    private static void CheckCount(string path, string kind, int count, int most)
    {
        if (count > most) throw OpenAiFault.Invalid(path, $"{count} {kind} are more than {most}.", "Send fewer.");
    }
}
