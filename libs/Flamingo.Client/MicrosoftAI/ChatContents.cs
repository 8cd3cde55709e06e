using Flamingo.Abstractions;
using Flamingo.Abstractions.Templates;
using Microsoft.Extensions.AI;

namespace Flamingo.Client.MicrosoftAI;

/// <summary>Reads the messages of Microsoft.Extensions.AI. Nothing of them is changed.</summary>
internal static class ChatContents
{
    private const string IdScheme = "flamingo:";

    /// <param name="instructions">Goes first, as a system message; null if there are none.</param>
    /// <exception cref="FlamingoException">InvalidArgument: a message has something that the model cannot read.</exception>
    public static IReadOnlyList<PromptMessage> Read(IEnumerable<ChatMessage> messages, string? instructions, FlamingoModel model)
    {
        var faults = new FaultList();
        var read = new List<PromptMessage>();
        if (!string.IsNullOrEmpty(instructions))
            read.Add(new(PromptMessage.System, [new(instructions, null, "options.Instructions")], "options.Instructions"));
        foreach (var (index, message) in messages.Index())
        {
            // a message beyond the limit is counted by the check below, and none of the others is read
            if (index > PromptMessage.MostMessages) break;
            if (Read(message, $"messages[{index}]", model, faults) is { } one) read.Add(one);
        }

        if (read.Count == 0 && faults.Count == 0)
            faults.Add(new("messages", "There is no message.", "Give at least one of role user."));
        PromptRules.CheckMost("messages", "messages", read.Count, PromptMessage.MostMessages, faults);
        PromptRules.ThrowIfAny(faults);
        return read;
    }

    /// <summary>A picture as bytes.</summary>
    /// <returns>Null if the content is none, and a fault says so.</returns>
    public static FlamingoVisual? Picture(DataContent data, string path, FlamingoModel model, FaultList faults)
    {
        if (!data.HasTopLevelMediaType("image"))
        {
            faults.Add(new(path, $"The media type {Shortened(data.MediaType)} is no picture.", "Give an image, for example image/png."));
            return null;
        }

        try
        {
            var bytes = data.Data; // those of an address are decoded here
            if (bytes.IsEmpty) faults.Add(new(path, "The picture is empty.", "Give the bytes of its file."));
            else if (bytes.Length > model.Vision.MaxPictureBytes)
                faults.Add(new(
                    path, $"A picture of {bytes.Length} bytes is larger than {model.Vision.MaxPictureBytes}.", "Give a smaller file."));
            else return new FlamingoPicture(bytes);
        }
        catch (FormatException)
        {
            faults.Add(new(path, "The data URL is not base64.", "Give the bytes of the file."));
        }

        return null;
    }

    private static PromptMessage? Read(ChatMessage? message, string path, FlamingoModel model, FaultList faults)
    {
        if (message is null)
        {
            faults.Add(new(path, "The message is null.", "Leave it out."));
            return null;
        }

        if (PromptMessage.RoleOf(message.Role.Value) is not { } role)
        {
            faults.Add(new(
                $"{path}.Role", $"'{Shortened(message.Role.Value)}' is none of system, developer, user and assistant.",
                message.Role == ChatRole.Tool ? "This model calls no tools." : "Give one of them."));
            return null;
        }

        if (!PromptRules.CheckMost($"{path}.Contents", "contents", message.Contents.Count, PromptMessage.MostParts, faults)) return null;
        var parts = new List<PromptPart>(message.Contents.Count);
        foreach (var (index, content) in message.Contents.Index())
        {
            var at = $"{path}.Contents[{index}]";
            if (content is UsageContent) continue; // it tells of an earlier answer and says nothing
            if (content is TextContent text) parts.Add(new(text.Text, null, at));
            else if (Visual(content, at, model, faults) is { } visual) parts.Add(new(null, visual, at));
        }

        if (role != PromptMessage.User && parts.Find(part => part.Visual is not null) is { } picture)
            faults.Add(new(picture.Path, $"A message of role {role} has a picture.", "Give pictures in messages of role user."));
        return new PromptMessage(role, parts, path);
    }

    private static FlamingoVisual? Visual(AIContent? content, string path, FlamingoModel model, FaultList faults)
    {
        switch (content)
        {
            case DataContent data:
                return Picture(data, path, model, faults);
            case HostedFileContent file:
                return new FlamingoPictureId(Bare(file.FileId));
            case UriContent { Uri: { IsAbsoluteUri: true, Scheme: "flamingo" } address }:
                return new FlamingoPictureId(Bare(address.OriginalString));
            case UriContent uri:
                faults.Add(new(
                    path, $"The server fetches no addresses for this client: {Shortened(uri.Uri.OriginalString)}.",
                    "Download the picture and give a DataContent, or the id of a picture as a HostedFileContent."));
                return null;
            case FunctionCallContent or FunctionResultContent:
                faults.Add(new(path, $"This is a {content.GetType().Name}, and this model calls no tools.", "Leave it out."));
                return null;
            default:
                faults.Add(new(
                    path, $"A {content?.GetType().Name ?? "null"} cannot be read by this model.",
                    "Give TextContent, DataContent with a picture, or HostedFileContent with a picture's id."));
                return null;
        }
    }

    private static string Bare(string id) => id.StartsWith(IdScheme, StringComparison.Ordinal) ? id[IdScheme.Length..] : id;

    private static string Shortened(string? text) => text is { Length: > 64 } ? text[..64] + "…" : text ?? "";
}
