using Google.Protobuf.Reflection;
using Microsoft.AspNetCore.Http;

namespace Flamingo.Transport.Serving.Arrival;

/// <summary>What every protocol limits in the same way.</summary>
public static class ArrivalRules
{
    /// <summary>Most bytes of a call's metadata, names and values together. Kestrel receives more, see RequestArrival.</summary>
    public const int MostMetadataBytes = 32 << 10;

    /// <summary>Bytes that must be transferred within <see cref="RequestOptions.TransferTimeout"/>.</summary>
    internal const int BytesPerTimeout = 256 << 10;

    /// <returns>The bytes of all headers of a request, names and values together.</returns>
    public static long MetadataBytes(HttpContext context)
    {
        var bytes = 0L;
        foreach (var (name, values) in context.Request.Headers)
        {
            bytes += name.Length;
            for (var index = 0; index < values.Count; index++) bytes += values[index]?.Length ?? 0;
        }

        return bytes;
    }

    /// <summary>Whether a message may hold pictures or tensors, which are the only fields of bytes.</summary>
    public static bool HoldsData(MessageDescriptor type) => HoldsData(type, []);

    private static bool HoldsData(MessageDescriptor type, HashSet<MessageDescriptor> seen) =>
        seen.Add(type) && type.Fields.InDeclarationOrder().Any(field => field.FieldType == FieldType.Bytes
            || (field.FieldType == FieldType.Message && HoldsData(field.MessageType, seen)));
}
