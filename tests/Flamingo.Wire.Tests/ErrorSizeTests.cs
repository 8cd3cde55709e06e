using CsCheck;
using Flamingo.Abstractions;
using Google.Rpc;
using Grpc.Core;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Wire.Tests;

/// <summary>All data of an error stay below 4 KiB, so that clients in every language receive them, and ids survive.</summary>
public sealed class ErrorSizeTests
{
    private static readonly Gen<string> LongText = Gen.OneOf(
        Gen.String[Gen.Char.AlphaNumeric, 0, 6000], Gen.String[0, 3000], Gen.Const(new string('%', 5000)),
        Gen.Const(new string('語', 5000)), Gen.Const(string.Concat(Enumerable.Repeat("🦩", 3000))), Gen.Const(new string('\n', 4000)));

    private static readonly Gen<string> Id = Gen.Byte.Array[32].Select(Convert.ToHexStringLower);

    private static readonly Gen<FlamingoException> Error =
        from kind in Gen.Enum<FlamingoErrorKind>()
        from message in LongText
        from faults in Gen.Select(LongText, LongText, LongText).Select((field, problem, remedy) => new FieldFault(field, problem, remedy))
            .Array[0, 40]
        from joined in Gen.Bool
        from missing in Id.Array[0, 100]
        from set in Gen.Bool
        from names in LongText.Array[0, 6]
        from delay in Gen.Long[0, 10_000_000_000]
        from trace in Id
        from traced in Gen.Bool
        select new FlamingoException(kind, joined ? string.Join(' ', (IEnumerable<FieldFault>)faults) : message)
        {
            Faults = faults, Missing = set ? names : missing, RetryAfter = TimeSpan.FromTicks(delay),
            MissingResource = set ? FlamingoException.SupportSet : FlamingoException.Picture, TraceId = traced ? trace[..32] : null,
        };

    [Fact]
    public void Every_error_is_smaller_than_4_KiB_and_keeps_its_kind_its_ids_and_its_time() => Error.Sample(error =>
    {
        var sent = error.ToRpcException();
        Assert.InRange(Size(sent), 0, 4095);
        Assert.Equal(sent.Status.Detail, sent.GetRpcStatus()!.Message); // Python's grpc_status insists on it
        var back = sent.ToFlamingoException("Peer");
        Assert.Equal((error.Kind, error.RetryAfter, error.TraceId), (back.Kind, back.RetryAfter, back.TraceId));
        if (error.MissingResource == FlamingoException.SupportSet) return;
        if (error.Missing.Count <= 64) Assert.Equal(error.Missing, back.Missing);
        Assert.Equal(error.Missing.Count > 64, back.IsAnyMissing);
    }, iter: 100);

    [Fact]
    public void Sixty_four_ids_fit_and_the_first_four_have_names_too()
    {
        var ids = Ids(64);
        var sent = Missing(ids).ToRpcException();
        var status = sent.GetRpcStatus()!;
        var pictures = status.GetDetail<V1.MissingPictures>()!;
        Assert.Equal((64 * 32, false), (pictures.Ids.Length, pictures.All));
        Assert.Equal(ids[..4], status.Details.Where(detail => detail.Is(ResourceInfo.Descriptor))
            .Select(detail => detail.Unpack<ResourceInfo>().ResourceName));
        Assert.Equal(ids, sent.ToFlamingoException("Peer").Missing);
        Assert.StartsWith("Send the bytes again.", sent.Status.Detail, StringComparison.Ordinal);
        Assert.InRange(Size(sent), 0, 4095);
    }

    [Fact]
    public void More_ids_than_fit_are_all()
    {
        var sent = Missing(Ids(65)).ToRpcException();
        var pictures = sent.GetRpcStatus()!.GetDetail<V1.MissingPictures>()!;
        Assert.Equal((0, true), (pictures.Ids.Length, pictures.All));
        var back = sent.ToFlamingoException("Peer");
        Assert.Equal((true, 4), (back.IsAnyMissing, back.Missing.Count));
    }

    [Fact]
    public void What_an_older_server_sends_is_read_too()
    {
        var ids = Ids(9);
        var status = new Google.Rpc.Status { Code = (int)StatusCode.NotFound, Message = "gone" };
        status.Details.Add(Google.Protobuf.WellKnownTypes.Any.Pack(new ErrorInfo { Domain = "flamingo", Reason = "NotFound" }));
        foreach (var id in ids)
            status.Details.Add(Google.Protobuf.WellKnownTypes.Any.Pack(new ResourceInfo { ResourceType = "picture", ResourceName = id }));
        var back = status.ToRpcException().ToFlamingoException("Peer");
        Assert.Equal((false, FlamingoException.Picture), (back.IsAnyMissing, back.MissingResource));
        Assert.Equal(ids, back.Missing);
    }

    [Theory]
    [InlineData(32)]
    [InlineData(300_000)]
    public void Many_faults_are_named_first_and_then_counted(int count)
    {
        var faults = Enumerable.Range(0, count).Select(index => new FieldFault(
            $"segments[{index}].picture", "The file is not a picture that can be decoded.", "Send a JPEG, PNG, WebP, GIF or BMP file."))
            .ToList();
        var back = FlamingoException.Invalid(faults).ToRpcException().ToFlamingoException("Peer");
        var named = back.Faults.Count - 1;
        Assert.InRange(named, 6, 31);
        Assert.Equal(faults[..named], back.Faults.SkipLast(1));
        Assert.Equal($"and {count - named} more", back.Faults[^1].Field);
        Assert.StartsWith(string.Join(' ', faults[..3]), back.Message, StringComparison.Ordinal);
        Assert.Matches("\\. And [0-9]+ more\\.$", back.Message);
    }

    [Fact]
    public void One_fault_that_quotes_a_long_text_keeps_its_field_and_its_remedy()
    {
        var quoted = new string('q', 50_000);
        var back = FlamingoException.Invalid("sampling.stop_strings", $"'{quoted}' is too long.", "Send at most 256 characters.")
            .ToRpcException().ToFlamingoException("Peer");
        var fault = Assert.Single(back.Faults);
        Assert.Equal(("sampling.stop_strings", "Send at most 256 characters."), (fault.Field, fault.Remedy));
        Assert.EndsWith("q…", fault.Problem, StringComparison.Ordinal);
    }

    private static string[] Ids(int count) =>
        [.. Enumerable.Range(0, count).Select(index => Convert.ToHexStringLower([.. Enumerable.Repeat((byte)index, 32)]))];

    private static FlamingoException Missing(string[] ids) =>
        new(FlamingoErrorKind.NotFound, $"Send the bytes again. The service no longer holds these pictures: {string.Join(", ", ids)}.")
        {
            Missing = ids,
        };

    // The three headers with their names, as HTTP/2 counts them without the 32 bytes for each entry.
    private static int Size(RpcException sent)
    {
        var details = sent.Trailers.GetValueBytes("grpc-status-details-bin")!;
        return "grpc-status".Length + 2 + "grpc-message".Length + "grpc-status-details-bin".Length
            + (int)Math.Ceiling(details.Length / 3.0) * 4 + System.Text.Encoding.UTF8.GetBytes(sent.Status.Detail)
                .Sum(one => one is >= (byte)' ' and <= (byte)'~' and not (byte)'%' ? 1 : 3);
    }
}
