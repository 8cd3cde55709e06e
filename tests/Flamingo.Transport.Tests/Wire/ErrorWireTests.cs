using System.Net.Sockets;
using CsCheck;
using Flamingo.Stages;
using Flamingo.Transport.Wire;
using Google.Rpc;
using Grpc.Core;
using Status = Grpc.Core.Status;

namespace Flamingo.Transport.Tests.Wire;

public sealed class ErrorWireTests
{
    [Fact]
    public void Every_error_comes_back_as_it_left() => Records.Error.Sample(error =>
    {
        var back = error.ToRpc().ToStage("Peer");
        Same.Content((error.Kind, error.Message, error.Faults, error.Missing, error.MissingResource, error.RetryAfter), (back.Kind, back.Message, back.Faults, back.Missing, back.MissingResource, back.RetryAfter));
    });

    [Theory]
    [InlineData(StageErrorKind.InvalidArgument, StatusCode.InvalidArgument)]
    [InlineData(StageErrorKind.NotFound, StatusCode.NotFound)]
    [InlineData(StageErrorKind.LatentsMissing, StatusCode.FailedPrecondition)]
    [InlineData(StageErrorKind.Overloaded, StatusCode.ResourceExhausted)]
    [InlineData(StageErrorKind.Unavailable, StatusCode.Unavailable)]
    [InlineData(StageErrorKind.Mismatch, StatusCode.FailedPrecondition)]
    [InlineData(StageErrorKind.Conflict, StatusCode.FailedPrecondition)]
    [InlineData(StageErrorKind.Internal, StatusCode.Internal)]
    [InlineData(StageErrorKind.DeadlineExceeded, StatusCode.DeadlineExceeded)]
    [InlineData(StageErrorKind.Cancelled, StatusCode.Cancelled)]
    public void Kinds_have_their_status(StageErrorKind kind, StatusCode code) => Assert.Equal(code, new StageException(kind, "why").ToRpc().StatusCode);

    [Fact]
    public void Details_are_those_that_any_language_reads()
    {
        var status = new StageException(StageErrorKind.InvalidArgument, "why")
        {
            Faults = [new("sampling.top_p", "2 is out of range.", "Send at most 1.")],
            Missing = ["abc"],
            RetryAfter = TimeSpan.FromSeconds(1.5),
        }.ToRpc().GetRpcStatus()!;
        Assert.Equal("sampling.top_p", Assert.Single(status.GetDetail<BadRequest>()!.FieldViolations).Field);
        Assert.Equal(("picture", "abc"), (status.GetDetail<ResourceInfo>()!.ResourceType, status.GetDetail<ResourceInfo>()!.ResourceName));
        Assert.Equal(TimeSpan.FromSeconds(1.5), status.GetDetail<RetryInfo>()!.RetryDelay.ToTimeSpan());
    }

    [Theory]
    [InlineData(StatusCode.Unavailable, StageErrorKind.Unavailable)]
    [InlineData(StatusCode.DeadlineExceeded, StageErrorKind.DeadlineExceeded)]
    [InlineData(StatusCode.Cancelled, StageErrorKind.Unavailable)]
    [InlineData(StatusCode.ResourceExhausted, StageErrorKind.Overloaded)]
    [InlineData(StatusCode.InvalidArgument, StageErrorKind.InvalidArgument)]
    [InlineData(StatusCode.Unknown, StageErrorKind.Internal)]
    public void A_status_without_our_details_is_judged_by_its_code(StatusCode code, StageErrorKind kind)
    {
        var back = new RpcException(new Status(code, "said")).ToStage("Resampler");
        Assert.Equal(kind, back.Kind);
        Assert.Equal("Resampler: said", back.Message);
    }

    [Fact]
    public void A_peer_that_cannot_be_reached_is_named_with_the_reason_and_the_remedy()
    {
        var refused = new SocketException((int)SocketError.ConnectionRefused);
        var reset = new SocketException((int)SocketError.ConnectionReset);
        var gone = new RpcException(new Status(StatusCode.Unavailable, "Error connecting to subchannel.", refused));
        Assert.Equal($"X at http://a cannot be reached: {refused.Message}. Start it.", gone.ToStage("X at http://a", "Start it.").Message);
        var broken = new RpcException(new Status(StatusCode.Internal, "Error reading next message.", new IOException("aborted", reset)));
        Assert.Equal($"X at http://a: the connection broke ({reset.Message}).", broken.ToStage("X at http://a", "Start it.").Message);
    }

    [Fact]
    public void A_broken_transport_is_unavailable_whatever_the_code() =>
        Assert.Equal(StageErrorKind.Unavailable, new RpcException(new Status(StatusCode.Internal, "died", new InvalidOperationException("outer", new IOException("reset")))).ToStage("Peer").Kind);
}
