using Flamingo.Abstractions;
using Flamingo.Transport.Wire;
using Google.Protobuf;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Tests.Wire;

/// <summary>Malformed messages are refused on arrival, and the error names the field.</summary>
public sealed class HostileInputTests
{
    [Fact]
    public void Latents_inside_a_prompt_are_named_by_their_path()
    {
        var tensor = new V1.Tensor { Dtype = V1.Dtype.Float32, Shape = { 2 }, Data = ByteString.CopyFrom(1) };
        V1.Segment[] segments =
            [new() { Text = "a" }, new() { Picture = new V1.KeyedPicture { Key = "k", Latents = new V1.Latents { Tensor = tensor } } }];
        Assert.Equal("segments[1].picture.latents.tensor.data", FieldOf(() => segments.ToRecords()));
    }

    [Fact]
    public void An_empty_segment_is_named() =>
        Assert.Equal("segments[1]", FieldOf(() => new[] { new V1.Segment { Text = "a" }, new V1.Segment() }.ToRecords()));

    [Fact]
    public void An_empty_event_is_no_answer()
    {
        var refusal = Assert.Throws<FlamingoException>(() => new V1.GenerateTokensResponse().ToRecord());
        Assert.Equal(FlamingoErrorKind.Internal, refusal.Kind);
    }

    [Theory]
    [InlineData(0, 1_000_000_000)]
    [InlineData(1, -1)]
    [InlineData(long.MaxValue, 0)]
    public void A_duration_that_is_none_is_named(long seconds, int nanos)
    {
        var pin = new Google.Protobuf.WellKnownTypes.Duration { Seconds = seconds, Nanos = nanos };
        Assert.Equal("pin_prefix", FieldOf(() => new V1.RankCandidatesRequest { PinPrefix = pin }.ToRecord()));
    }

    private static string FieldOf(Action receive)
    {
        var exception = Assert.Throws<FlamingoException>(receive);
        Assert.Equal(FlamingoErrorKind.InvalidArgument, exception.Kind);
        return Assert.Single(exception.Faults).Field;
    }
}
