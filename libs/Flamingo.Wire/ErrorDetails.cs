using Flamingo.Abstractions;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Wire;

/// <summary>
/// Writes a <see cref="FlamingoException"/> as a google.rpc.Status. Clients in other languages accept 8 KiB of metadata in an answer, and a
/// status travels twice, as its message and as its details. So both together are kept below 4 KiB: long texts are cut, and what does not
/// fit is counted.
/// </summary>
internal static class ErrorDetails
{
    internal const string Domain = "flamingo";

    /// <summary>
    /// Most characters of the two headers' values together. 4 KiB less their names (grpc-status, grpc-message, grpc-status-details-bin).
    /// </summary>
    private const int MostCharacters = 4000;

    private const int IdBytes = 32;

    private const int MostIds = 64;

    private const int MostResources = 4;

    private const int MostFaults = 32;

    // Limits where an error does not fit in full, in characters as grpc-message has them.
    private const int LongText = 300, LongField = 100, LongResource = 128;

    private static readonly int[] MessageLengths = [600, 150, 60];

    public static Google.Rpc.Status Of(FlamingoException exception)
    {
        if (exception.Faults.Count <= MostFaults)
        {
            var full = Write(exception, exception.Message, exception.Faults);
            if (Characters(full) <= MostCharacters) return full;
        }

        // A caller may cause hundreds of thousands of faults, so no more are looked at than may fit.
        var faults = exception.Faults.Take(MostFaults).Select(Cut).ToList();
        var joins = exception.Faults.Count > 0 && exception.Faults[0].ToString() is var first
            && exception.Message.StartsWith(first, StringComparison.Ordinal);
        foreach (var length in MessageLengths)
        {
            var message = joins ? Sentences(faults, exception.Faults.Count, length) : Cut(exception.Message, length);
            for (var count = faults.Count; count >= -1; count--) // at -1 they are not even counted
            {
                List<FieldFault> kept = [.. faults.Take(count)];
                if (count >= 0 && count < exception.Faults.Count) kept.Add(Others(exception.Faults.Count - count));
                var status = Write(exception, message, kept);
                if (Characters(status) <= MostCharacters && (kept.Count > 0 || faults.Count == 0 || length == MessageLengths[^1]))
                    return status;
            }
        }

        throw new InvalidOperationException($"An error of kind {exception.Kind} does not fit into {MostCharacters} characters.");
    }

    /// <summary>The length of the values of grpc-message and grpc-status-details-bin.</summary>
    private static int Characters(Google.Rpc.Status status) =>
        ((status.CalculateSize() + 2) / 3 * 4) + Escaped(status.Message);

    /// <summary>Cuts a text to a length in characters as grpc-message has them, and marks the cut by an ellipsis.</summary>
    private static string Cut(string text, int most)
    {
        if (text.Length <= most && Escaped(text) <= most) return text;
        most -= Escaped("…");
        var (kept, used) = (0, 0);
        foreach (var rune in text.EnumerateRunes())
        {
            var size = Escaped(rune.ToString());
            if (used + size > most) break;
            (kept, used) = (kept + rune.Utf16SequenceLength, used + size);
        }

        return text[..kept] + "…";
    }

    private static Google.Rpc.Status Write(FlamingoException exception, string message, IReadOnlyList<FieldFault> faults)
    {
        var status = new Google.Rpc.Status { Code = (int)ErrorWire.CodeOf(exception.Kind), Message = message };
        status.Details.Add(Any.Pack(new ErrorInfo { Domain = Domain, Reason = exception.Kind.ToString() }));
        if (TraceOf(exception) is { } trace) status.Details.Add(Any.Pack(new RequestInfo { RequestId = trace }));
        if (exception.RetryAfter is { } delay)
            status.Details.Add(Any.Pack(new RetryInfo { RetryDelay = Duration.FromTimeSpan(delay) }));
        if (MissingOf(exception) is { } pictures) status.Details.Add(Any.Pack(pictures));
        foreach (var missing in exception.Missing.Take(MostResources))
        {
            status.Details.Add(Any.Pack(new ResourceInfo
            {
                ResourceType = exception.MissingResource, ResourceName = Cut(missing, LongResource),
            }));
        }

        if (faults.Count == 0) return status;
        var request = new BadRequest();
        request.FieldViolations.AddRange(faults.Select(fault =>
            new BadRequest.Types.FieldViolation { Field = fault.Field, Description = $"{fault.Problem}\n{fault.Remedy}" }));
        status.Details.Add(Any.Pack(request));
        return status;
    }

    /// <returns>
    /// The id of the trace in which the exception was thrown, 32 hexadecimal characters: that of the failed call, or of the running one.
    /// </returns>
    public static string? TraceOf(FlamingoException exception) => exception.TraceId ?? ErrorWire.RunningTrace;

    // Names of support sets are no ids. A call names one set, so ResourceInfo suffices for them.
    private static V1.MissingPictures? MissingOf(FlamingoException exception)
    {
        if (exception.MissingResource != FlamingoException.Picture) return null;
        if (exception.IsAnyMissing || exception.Missing.Count > MostIds) return new V1.MissingPictures { All = true };
        if (exception.Missing.Count == 0) return null;
        if (!exception.Missing.All(IsId)) return exception.Missing.Count > MostResources ? new V1.MissingPictures { All = true } : null;
        return new V1.MissingPictures { Ids = ByteString.CopyFrom(Convert.FromHexString(string.Concat(exception.Missing))) };
    }

    private static bool IsId(string text) => text.Length == 2 * IdBytes && text.All(char.IsAsciiHexDigitLower);

    /// <returns>The ids in a detail; null if there is no such detail.</returns>
    internal static (IReadOnlyList<string> Ids, bool All)? IdsOf(Google.Rpc.Status status)
    {
        if (status.GetDetail<V1.MissingPictures>() is not { } missing) return null;
        return ([.. missing.Ids.ToByteArray().Chunk(IdBytes).Select(Convert.ToHexStringLower)], missing.All);
    }

    /// <summary>The first faults as one text, and the number of the others.</summary>
    private static string Sentences(List<FieldFault> faults, int all, int most)
    {
        const int Rest = 24; // for the number of the others
        var (text, named) = (Cut(faults[0].ToString(), most - Rest), 1);
        for (; named < faults.Count && Escaped(text) + 1 + Escaped(faults[named].ToString()) <= most - Rest; named++)
            text += $" {faults[named]}";
        return named == all ? text : $"{text} And {all - named} more.";
    }

    private static FieldFault Cut(FieldFault fault) =>
        new(Cut(fault.Field, LongField), Cut(fault.Problem, LongText), Cut(fault.Remedy, LongText));

    private static FieldFault Others(int count) =>
        new($"and {count} more", "These faults are not listed.", "Correct the listed ones, and send the request again to see the others.");

    // gRPC escapes each UTF-8 byte that is not a printable ASCII character, and the percent sign, as three characters.
    private static int Escaped(string text)
    {
        var length = 0;
        foreach (var character in text)
        {
            length += character switch
            {
                '%' => 3,
                >= ' ' and <= '~' => 1,
                < '\x80' => 3,
                < '\x800' => 6,
                _ => 9,
            };
        }

        return length;
    }
}
