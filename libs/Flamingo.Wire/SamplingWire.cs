using System.Collections;
using System.Reflection;
using System.Text.Json;
using Flamingo.Abstractions;
using Google.Protobuf.Collections;
using Google.Protobuf.Reflection;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Wire;

/// <summary>
/// Converts sampling parameters. Each property of <see cref="SamplingParameters"/> is paired with the message field of the same
/// name (<c>MaxTokens</c> and <c>max_tokens</c>), so that a new parameter needs no code here.
/// </summary>
public static class SamplingWire
{
    private static readonly (PropertyInfo Property, FieldDescriptor Field)[] Pairs =
        [.. typeof(SamplingParameters).GetProperties(BindingFlags.Public | BindingFlags.Instance).Select(property =>
            (property, V1.Sampling.Descriptor.FindFieldByName(JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name))
                ?? throw new InvalidOperationException($"The message Sampling has no field for {property.Name}.")))];

    public static V1.Sampling ToMessage(this SamplingParameters record)
    {
        var message = new V1.Sampling();
        foreach (var (property, field) in Pairs)
        {
            var value = property.GetValue(record);
            switch (field.Accessor.GetValue(message))
            {
                case MapField<int, float> map:
                    map.Add(((IReadOnlyDictionary<int, float>)value!).ToDictionary());
                    break;
                case IList list:
                    foreach (var item in (IEnumerable)value!) list.Add(item);
                    break;
                default:
                    if (value is not null) field.Accessor.SetValue(message, value);
                    break;
            }
        }

        return message;
    }

    /// <summary>Absent fields take the record's defaults. A 0 that was sent stays 0, and validation judges it.</summary>
    public static SamplingParameters ToRecord(this V1.Sampling? message)
    {
        var record = new SamplingParameters();
        if (message is null) return record;
        foreach (var (property, field) in Pairs)
        {
            if (field.HasPresence && !field.Accessor.HasValue(message)) continue;
            // Collections are copied, because a message may change later and a record must not.
            property.SetValue(record, field.Accessor.GetValue(message) switch
            {
                MapField<int, float> map => new Dictionary<int, float>(map),
                RepeatedField<int> numbers => numbers.ToArray(),
                RepeatedField<string> texts => texts.ToArray(),
                var scalar => scalar,
            });
        }

        return record;
    }

    public static V1.AttentionChoice ToMessage(this AttentionChoice record)
    {
        var message = new V1.AttentionChoice();
        message.Layers.AddRange(record.Layers);
        message.Heads.AddRange(record.Heads);
        return message;
    }

    public static AttentionChoice ToRecord(this V1.AttentionChoice message) => new([.. message.Layers], [.. message.Heads]);
}
