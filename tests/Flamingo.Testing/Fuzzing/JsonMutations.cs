using System.Text;
using System.Text.Json.Nodes;

namespace Flamingo.Testing.Fuzzing;

/// <summary>Changes the content of JSON. The result usually still parses, but has other values.</summary>
public static class JsonMutations
{
    private static readonly string[] Values =
    [
        "null", "true", "false", "0", "1", "2", "3", "-1", "0.5", "1e39", "-1e308", "1e400", "2147483647", "-2147483648", "2147483648",
        "4294967297", "4611686018427387904", "9223372036854775807", "123456789012345678901234567890",
        "\"\"", "\"F32\"", "\"\\u0000\"", "\"\\ud800\"", "\"..\"", "\"/etc/passwd\"", "\"../../etc/passwd\"", "[]", "{}", "[null]", "[[]]",
        "[-1]", "[1, 2, 3]", "[9223372036854775807, 9223372036854775807]", "{\"\": 1}",
        $"\"{new string('x', 5000)}\"", $"{new string('[', 60)}{new string(']', 60)}",
        $"{new string('[', 50_000)}{new string(']', 50_000)}",
    ];

    /// <summary>Applies one to three changes, and sometimes also some of <see cref="ByteMutations"/>.</summary>
    public static byte[] Apply(string json, Random random)
    {
        var (root, raw) = (JsonNode.Parse(json)!, new List<(string Mark, string Text)>());
        for (var changes = random.Next(1, 4); changes > 0; changes--) Change(Pick(root, random), random, raw);
        var text = raw.Aggregate(root.ToJsonString(),
            (whole, item) => whole.Replace($"\"{item.Mark}\"", item.Text, StringComparison.Ordinal));
        var bytes = Encoding.UTF8.GetBytes(text);
        return random.Next(8) == 0 ? ByteMutations.Apply(bytes, random) : bytes;
    }

    // The node is selected level by level from the root, because a vocabulary of thousands of nodes would otherwise get almost all changes.
    private static JsonNode Pick(JsonNode root, Random random)
    {
        var node = root;
        while (Children(node) is { Count: > 0 } children && (node == root || random.Next(4) > 0))
            node = children[random.Next(children.Count)];
        return node;
    }

    private static List<JsonNode> Children(JsonNode node) => node switch
    {
        JsonObject members => [.. members.Select(member => member.Value).OfType<JsonNode>()],
        JsonArray items => [.. items.OfType<JsonNode>()],
        _ => [],
    };

    private static void Change(JsonNode node, Random random, List<(string Mark, string Text)> raw)
    {
        var mark = $"@@{raw.Count}";
        var other = node.Parent is null ? null : Pick(node.Root, random);
        switch (random.Next(7))
        {
            case 0 when node.Parent is JsonObject parent: parent.Remove(node.GetPropertyName()); break;
            case 0 when node.Parent is JsonArray parent: parent.Remove(node); break;
            case 1 when node.Parent is JsonObject parent: // a duplicate name
                raw.Add((mark, JsonValue.Create(node.GetPropertyName()).ToJsonString()));
                parent[mark] = node.DeepClone();
                break;
            case 1 when node.Parent is JsonArray parent: for (var copies = random.Next(1, 200); copies > 0; copies--)
                parent.Add(node.DeepClone()); break;
            case 2 when node.Parent is JsonObject parent: parent[$"unheard-{random.Next(3)}"] = node.DeepClone(); break;
            case 3 when other is not null && other.Parent is not null: node.ReplaceWith(other.DeepClone()); break;
            case 4 when node is JsonValue value
                && value.TryGetValue<long>(out var number): node.ReplaceWith(
                    JsonValue.Create(unchecked(random.Next(4) switch { 0 => number + 1, 1 => number - 1, 2 => -number,
                        _ => number << random.Next(1, 40) }))); break;
            default:
                if (node.Parent is null) break;
                raw.Add((mark, Values[random.Next(Values.Length)]));
                node.ReplaceWith(JsonValue.Create(mark));
                break;
        }
    }
}
