namespace Flamingo.Abstractions.Templates;

/// <summary>A text or a picture of a message.</summary>
/// <param name="Text">Null for a picture.</param>
/// <param name="Visual">Null for a text.</param>
/// <param name="Path">Path of the part in the caller's request.</param>
public sealed record PromptPart(string? Text, FlamingoVisual? Visual, string Path);

/// <summary>A message of a conversation, whichever door it came through.</summary>
/// <param name="Role">One of the constants of this record.</param>
/// <param name="Parts">Only messages of the user have pictures.</param>
/// <param name="Path">Path of the message in the caller's request.</param>
public sealed record PromptMessage(string Role, IReadOnlyList<PromptPart> Parts, string Path)
{
    public const string System = "system", User = "user", Assistant = "assistant";

    /// <summary>Most messages of a conversation, and most parts of a message.</summary>
    public const int MostMessages = 1024, MostParts = 1024;

    /// <summary>The role of a name; a developer is a system. Null if there is no such role.</summary>
    public static string? RoleOf(string? name) => name is "system" or "developer" ? System : name is User or Assistant ? name : null;
}
