using System.Text.Json.Nodes;
using Google.Api;
using Google.Protobuf.Reflection;

namespace Flamingo.Gateway.Doors.OpenApi;

/// <summary>Writes the OpenAPI 3.0 document of the native API from the descriptors and comments of the protos.</summary>
internal sealed class OpenApiDocument
{
    private const string Json = "application/json";

    private static readonly ServiceDescriptor[] Services =
    [
        .. new[]
        {
            Protos.V1.FlamingoReflection.Descriptor, Protos.V1.TasksReflection.Descriptor,
            Protos.V1.SupportSetReflection.Descriptor, Protos.V1.LatentCacheReflection.Descriptor,
        }.SelectMany(file => file.Services),
    ];

    private readonly ProtoComments _comments = new();
    private readonly JsonObject _schemas = [];

    /// <param name="others">Methods and paths of other doors, with one sentence about each.</param>
    public static JsonObject Write(IEnumerable<(string Method, string Path, string Summary)> others)
    {
        var document = new OpenApiDocument();
        var (paths, tags) = (new JsonObject(), new JsonArray());
        foreach (var service in Services)
        {
            tags.Add(new JsonObject { ["name"] = service.Name, ["description"] = document._comments.Of(service.FullName) });
            foreach (var method in service.Methods) document.AddMethod(paths, method);
        }

        foreach (var (method, path, summary) in others)
            PathOf(paths, path)[method.ToLowerInvariant()] = new JsonObject
            {
                ["tags"] = new JsonArray("OpenAI"), ["summary"] = summary, ["parameters"] = Parameters(path),
                ["responses"] = new JsonObject { ["default"] = new JsonObject { ["description"] = "As OpenAI's API." } },
            };

        return new JsonObject
        {
            ["openapi"] = "3.0.3",
            ["info"] = new JsonObject
            {
                ["title"] = "Flamingo", ["version"] = "v1",
                ["description"] = "The native API as JSON. Bytes are base64, numbers of 64 bits are texts, durations are texts such as "
                    + "\"1.5s\", and a field that is absent or null has its default. Streams are one JSON object per line. "
                    + "Every answer has the header x-request-id.",
            },
            ["tags"] = tags, ["paths"] = paths, ["components"] = new JsonObject { ["schemas"] = document._schemas },
        };
    }

    private static JsonObject PathOf(JsonObject paths, string path)
    {
        if (paths[path] is not JsonObject item) paths[path] = item = [];
        return item;
    }

    private static JsonArray Parameters(string path) => [.. path.Split('{').Skip(1).Select(part => new JsonObject
    {
        ["name"] = part[..part.IndexOf('}', StringComparison.Ordinal)], ["in"] = "path", ["required"] = true,
        ["schema"] = new JsonObject { ["type"] = "string" },
    })];

    private void AddMethod(JsonObject paths, MethodDescriptor method)
    {
        if (method.GetOptions()?.GetExtension(AnnotationsExtensions.Http) is not { } rule) return;
        var (verb, path) = rule.PatternCase switch
        {
            HttpRule.PatternOneofCase.Get => ("get", rule.Get),
            HttpRule.PatternOneofCase.Put => ("put", rule.Put),
            HttpRule.PatternOneofCase.Delete => ("delete", rule.Delete),
            _ => ("post", rule.Post),
        };
        var answer = method.IsServerStreaming ? "A stream: one JSON object of this form per line." : "The answer.";
        var operation = new JsonObject
        {
            ["tags"] = new JsonArray(method.Service.Name), ["operationId"] = $"{method.Service.Name}_{method.Name}",
            ["description"] = _comments.Of(method.FullName), ["parameters"] = Parameters(path),
            ["responses"] = new JsonObject
            {
                ["200"] = new JsonObject { ["description"] = answer, ["content"] = Content(method.OutputType) },
                ["default"] = new JsonObject { ["description"] = "An error.", ["content"] = Content(Google.Rpc.Status.Descriptor) },
            },
        };
        if (rule.Body.Length > 0)
            operation["requestBody"] = new JsonObject { ["required"] = true, ["content"] = Content(method.InputType) };
        PathOf(paths, path)[verb] = operation;
    }

    private JsonObject Content(MessageDescriptor message) =>
        new() { [Json] = new JsonObject { ["schema"] = SchemaOf(message) } };

    private JsonObject SchemaOf(MessageDescriptor message)
    {
        switch (message.FullName)
        {
            case "google.protobuf.Duration": return new JsonObject { ["type"] = "string", ["example"] = "1.5s" };
            case "google.protobuf.Timestamp": return new JsonObject { ["type"] = "string", ["format"] = "date-time" };
            case "google.protobuf.Any":
                return new JsonObject
                {
                    ["type"] = "object", ["additionalProperties"] = true,
                    ["properties"] = new JsonObject { ["@type"] = new JsonObject { ["type"] = "string" } },
                };
        }

        if (!_schemas.ContainsKey(message.FullName))
        {
            var schema = new JsonObject { ["type"] = "object" };
            _schemas[message.FullName] = schema; // before its fields, because they may refer to it
            Describe(schema, _comments.Of(message.FullName));
            var properties = new JsonObject();
            foreach (var field in message.Fields.InDeclarationOrder()) properties[field.JsonName] = SchemaOf(field);
            schema["properties"] = properties;
        }

        return new JsonObject { ["$ref"] = $"#/components/schemas/{message.FullName}" };
    }

    private JsonObject SchemaOf(FieldDescriptor field)
    {
        var item = field.FieldType switch
        {
            FieldType.Message => SchemaOf(field.MessageType),
            FieldType.Enum => SchemaOf(field.EnumType),
            FieldType.Bytes => Type("string", "byte"),
            FieldType.String => Type("string", null),
            FieldType.Bool => Type("boolean", null),
            FieldType.Double => Type("number", "double"),
            FieldType.Float => Type("number", "float"),
            FieldType.Int64 or FieldType.SInt64 or FieldType.SFixed64 => Type("string", "int64"),
            FieldType.UInt64 or FieldType.Fixed64 => Type("string", "uint64"),
            FieldType.UInt32 or FieldType.Fixed32 => Type("integer", "uint32"),
            _ => Type("integer", "int32"),
        };
        if (field.IsRepeated) item = new JsonObject { ["type"] = "array", ["items"] = item };
        var oneof = field.RealContainingOneof is { } choice
            ? $"Only one of {string.Join(", ", choice.Fields.Select(one => one.JsonName))} may be there." : "";
        var description = $"{_comments.Of(field.FullName)}\n{oneof}".Trim();
        if (description.Length == 0) return item;
        // What stands beside $ref is ignored in OpenAPI 3.0.
        if (item.ContainsKey("$ref")) item = new JsonObject { ["allOf"] = new JsonArray(item) };
        Describe(item, description);
        return item;

        static JsonObject Type(string type, string? format)
        {
            var schema = new JsonObject { ["type"] = type };
            if (format is not null) schema["format"] = format;
            return schema;
        }
    }

    private JsonObject SchemaOf(EnumDescriptor type)
    {
        if (!_schemas.ContainsKey(type.FullName))
        {
            var values = type.Values.Select(value => $"{value.Name}: {_comments.Of(value.FullName)}".TrimEnd(' ', ':'));
            var schema = new JsonObject
            {
                ["type"] = "string", ["enum"] = new JsonArray([.. type.Values.Select(value => JsonValue.Create(value.Name))]),
            };
            Describe(schema, $"{_comments.Of(type.FullName)}\n{string.Join('\n', values)}".Trim());
            _schemas[type.FullName] = schema;
        }

        return new JsonObject { ["$ref"] = $"#/components/schemas/{type.FullName}" };
    }

    private static void Describe(JsonObject schema, string description)
    {
        if (description.Length > 0) schema["description"] = description;
    }
}
