using Flamingo.Abstractions;
using Google.Protobuf;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Wire.Tests;

/// <summary>Malformed messages are refused on arrival, and the error names the field.</summary>
public sealed class HostileInputTests
{
    public static TheoryData<int, int[], int, string> Tensors => new()
    {
        { 0, [2], 8, "features[0].dtype" },
        { 99, [2], 8, "features[0].dtype" },
        { 1, [2], 7, "features[0].data" },
        { 1, [2], 0, "features[0].data" },
        { 2, [2, 3], 24, "features[0].data" },
        { 1, [0], 0, "features[0].shape" },
        { 1, [-1, -2], 8, "features[0].shape" },
        { 1, [int.MaxValue, int.MaxValue, int.MaxValue], 4, "features[0].shape" },
        { 3, [65536, 65536], 0, "features[0].shape" },
    };

    [Theory, MemberData(nameof(Tensors))]
    public void A_tensor_whose_bytes_do_not_fit_is_refused(int dtype, int[] shape, int bytes, string field)
    {
        var fault = Assert.Single(Refusal(() => new[] { Tensor(dtype, shape, bytes) }.ToRecords("features")).Faults);
        Assert.Equal(field, fault.Field);
        Assert.NotEmpty(fault.Remedy);
    }

    [Fact]
    public void All_faults_are_named_at_once() =>
        Assert.Equal(
            ["features[0].data", "features[2].shape"],
            Refusal(() => new[] { Tensor(1, [2], 3), Tensor(1, [2], 8), Tensor(1, [0], 0) }.ToRecords("features")).Faults.Select(
                fault => fault.Field));

    [Fact]
    public void A_missing_tensor_is_named() =>
        Assert.Equal("latents", Assert.Single(Refusal(() => ((V1.Tensor?)null).ToRecord("latents")).Faults).Field);

    [Fact]
    public void An_empty_segment_is_named()
    {
        Assert.Equal("segments[0]", Assert.Single(Refusal(() => new[] { new V1.PromptSegment() }.ToRecords()).Faults).Field);
    }

    [Fact]
    public void An_empty_picture_is_named()
    {
        Assert.Equal("pictures[1]", Assert.Single(
            Refusal(() =>
                new V1.EncodeRequest { Pictures = { new V1.Visual { PictureId = "a" }, new V1.Visual() } }.ToRecord("")).Faults).Field);
        Assert.Equal("examples[0]", Assert.Single(
            Refusal(() => new V1.PutSupportSetRequest { Examples = { new V1.Example { Text = "a" } } }.ToRecord("")).Faults).Field);
    }

    [Fact]
    public void An_empty_event_is_no_answer()
    {
        Assert.Equal(FlamingoErrorKind.Internal, Assert.Throws<FlamingoException>(() => new V1.GenerateResponse().ToRecord()).Kind);
    }

    [Theory]
    [InlineData(0, 1_000_000_000)]
    [InlineData(1, -1)]
    [InlineData(long.MaxValue, 0)]
    public void A_duration_that_is_none_is_named(long seconds, int nanos)
    {
        var pin = new Google.Protobuf.WellKnownTypes.Duration { Seconds = seconds, Nanos = nanos };
        Assert.Equal("pin_prefix", Assert.Single(Refusal(() => new V1.GenerateRequest { PinPrefix = pin }.ToRecord("")).Faults).Field);
        Assert.Equal("time_to_live", Assert.Single(
            Refusal(() => new V1.PutSupportSetRequest { TimeToLive = pin }.ToRecord("")).Faults).Field);
    }

    [Fact]
    public void Bytes_are_neither_copied_in_nor_out()
    {
        var tensor = TensorData.FromFloats([1, 2, 3], 3);
        var message = tensor.ToMessage();
        Assert.True(message.Data.Memory.Equals(tensor.Bytes));
        Assert.True(message.ToRecord("tensor").Bytes.Equals(tensor.Bytes));
    }

    private static FlamingoException Refusal(Action receive)
    {
        var exception = Assert.Throws<FlamingoException>(receive);
        Assert.Equal(FlamingoErrorKind.InvalidArgument, exception.Kind);
        return exception;
    }

    private static V1.Tensor Tensor(int dtype, int[] shape, int bytes) =>
        new() { Dtype = (V1.Dtype)dtype, Shape = { shape }, Data = ByteString.CopyFrom(new byte[bytes]) };
}
