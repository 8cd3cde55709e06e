using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace Flamingo.Gateway.Doors.OpenApi;

/// <summary>The comments of the protos by the full names of what they describe.</summary>
internal sealed class ProtoComments
{
    // Field numbers in descriptor.proto, of which the path of a comment consists.
    private const int Messages = 4, Enums = 5, Services = 6, Members = 2, NestedMessages = 3, NestedEnums = 4;

    private readonly Dictionary<string, string> _comments = new(StringComparer.Ordinal);

    public ProtoComments()
    {
        using var stream = typeof(Protos.V1.FlamingoReflection).Assembly.GetManifestResourceStream("flamingo.v1.protoset")
            ?? throw new InvalidOperationException("Flamingo.Protos has no descriptor set with comments.");
        foreach (var file in FileDescriptorSet.Parser.ParseFrom(stream).File)
            foreach (var location in file.SourceCodeInfo?.Location ?? [])
                if (location.LeadingComments.Length > 0 && NameOf(file, [.. location.Path]) is { } name)
                    _comments[name] = Join(location.LeadingComments);
    }

    /// <returns>The comment; empty if there is none.</returns>
    public string Of(string fullName) => _comments.GetValueOrDefault(fullName, "");

    // Lines of a paragraph are joined, because the width of a proto file is not that of a page.
    private static string Join(string comment) => string.Join("\n\n",
        comment.Split("\n \n").Select(paragraph => string.Join(' ', paragraph.Split('\n', StringSplitOptions.TrimEntries)).Trim())).Trim();

    private static string? NameOf(FileDescriptorProto file, ReadOnlySpan<int> path) => path switch
    {
        [Services, var service] => $"{file.Package}.{file.Service[service].Name}",
        [Services, var service, Members, var method] =>
            $"{file.Package}.{file.Service[service].Name}.{file.Service[service].Method[method].Name}",
        [Enums, var type] => $"{file.Package}.{file.EnumType[type].Name}",
        [Enums, var type, Members, var value] =>
            $"{file.Package}.{file.EnumType[type].Name}.{file.EnumType[type].Value[value].Name}",
        [Messages, var message, .. var rest] => NameOf($"{file.Package}.{file.MessageType[message].Name}", file.MessageType[message], rest),
        _ => null,
    };

    private static string? NameOf(string name, DescriptorProto message, ReadOnlySpan<int> path) => path switch
    {
        [] => name,
        [Members, var field] => $"{name}.{message.Field[field].Name}",
        [NestedMessages, var nested, .. var rest] =>
            NameOf($"{name}.{message.NestedType[nested].Name}", message.NestedType[nested], rest),
        [NestedEnums, var type] => $"{name}.{message.EnumType[type].Name}",
        [NestedEnums, var type, Members, var value] =>
            $"{name}.{message.EnumType[type].Name}.{message.EnumType[type].Value[value].Name}",
        _ => null,
    };
}
