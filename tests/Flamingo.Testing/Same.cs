using System.Collections;
using System.Reflection;
using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Xunit;

namespace Flamingo.Testing;

/// <summary>Equality by content, through lists, tensors and bytes, where a record's own stops at references.</summary>
public static class Same
{
    public static void Content(object? expected, object? actual) => Assert.Equal(Text(expected), Text(actual));

    private static string Text(object? value) => value switch
    {
        null => "null",
        string text => $"\"{text}\"",
        float number => BitConverter.SingleToInt32Bits(number).ToString("x8"),
        TimeSpan time => time.Ticks.ToString(),
        DateTimeOffset moment => moment.ToString("O"),
        ReadOnlyMemory<byte> bytes => Convert.ToHexString(bytes.Span),
        TensorData tensor => $"{tensor.Dtype}[{string.Join(',', tensor.Shape)}]{Convert.ToHexString(tensor.Bytes.Span)}",
        // the items of a tuple are fields, not properties
        ITuple tuple => $"({string.Join(", ", Enumerable.Range(0, tuple.Length).Select(index => Text(tuple[index])))})",
        IDictionary<int, float> map => Text(map.OrderBy(item => item.Key).Select(item => (object)item)), // maps have no order in protobuf
        IEnumerable list => $"[{string.Join(", ", list.Cast<object?>().Select(Text))}]",
        _ when value.GetType() is { IsPrimitive: true } or { IsEnum: true } => value.ToString()!,
        _ => $"{value.GetType().Name}({string.Join(", ", Properties(value))})",
    };

    private static IEnumerable<string> Properties(object value) =>
        value.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Where(property => property.GetIndexParameters().Length == 0)
            .Select(property => $"{property.Name}={Text(property.GetValue(value))}");
}
