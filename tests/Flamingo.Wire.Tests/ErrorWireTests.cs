using System.Diagnostics;
using System.Net.Sockets;
using CsCheck;
using Flamingo.Abstractions;
using Flamingo.Testing;
using Google.Rpc;
using Grpc.Core;
using Status = Grpc.Core.Status;

namespace Flamingo.Wire.Tests;

public sealed class ErrorWireTests
{
    [Fact]
    public void Every_error_comes_back_as_it_left() => Records.Error.Sample(error =>
    {
        var back = error.ToRpcException().ToFlamingoException("Peer");
        Same.Content((error.Kind, error.Message, error.Faults, error.Missing, error.IsAnyMissing, error.MissingResource, error.RetryAfter),
            (back.Kind, back.Message, back.Faults, back.Missing, back.IsAnyMissing, back.MissingResource, back.RetryAfter));
    });

    [Theory]
    [InlineData(FlamingoErrorKind.InvalidArgument, StatusCode.InvalidArgument)]
    [InlineData(FlamingoErrorKind.NotFound, StatusCode.NotFound)]
    [InlineData(FlamingoErrorKind.LatentsMissing, StatusCode.FailedPrecondition)]
    [InlineData(FlamingoErrorKind.Overloaded, StatusCode.ResourceExhausted)]
    [InlineData(FlamingoErrorKind.Unavailable, StatusCode.Unavailable)]
    [InlineData(FlamingoErrorKind.Mismatch, StatusCode.FailedPrecondition)]
    [InlineData(FlamingoErrorKind.Conflict, StatusCode.FailedPrecondition)]
    [InlineData(FlamingoErrorKind.Aborted, StatusCode.Aborted)]
    [InlineData(FlamingoErrorKind.Unauthenticated, StatusCode.Unauthenticated)]
    [InlineData(FlamingoErrorKind.PermissionDenied, StatusCode.PermissionDenied)]
    [InlineData(FlamingoErrorKind.Internal, StatusCode.Internal)]
    [InlineData(FlamingoErrorKind.DeadlineExceeded, StatusCode.DeadlineExceeded)]
    [InlineData(FlamingoErrorKind.Cancelled, StatusCode.Cancelled)]
    public void Kinds_have_their_status(FlamingoErrorKind kind, StatusCode code) =>
        Assert.Equal(code, new FlamingoException(kind, "why").ToRpcException().StatusCode);

    [Fact]
    public void Details_are_those_that_any_language_reads()
    {
        var status = new FlamingoException(FlamingoErrorKind.InvalidArgument, "why")
        {
            Faults = [new("sampling.top_p", "2 is out of range.", "Send at most 1.")],
            Missing = ["abc"],
            RetryAfter = TimeSpan.FromSeconds(1.5),
        }.ToRpcException().GetRpcStatus()!;
        Assert.Equal("sampling.top_p", Assert.Single(status.GetDetail<BadRequest>()!.FieldViolations).Field);
        Assert.Equal(("picture", "abc"), (status.GetDetail<ResourceInfo>()!.ResourceType, status.GetDetail<ResourceInfo>()!.ResourceName));
        Assert.Equal(TimeSpan.FromSeconds(1.5), status.GetDetail<RetryInfo>()!.RetryDelay.ToTimeSpan());
    }

    [Fact]
    public void An_error_names_the_trace_in_which_it_was_thrown()
    {
        Assert.Null(new FlamingoException(FlamingoErrorKind.Internal, "why").ToRpcException().ToFlamingoException("Peer").TraceId);
        using var call = new Activity("call").SetIdFormat(ActivityIdFormat.W3C).Start();
        var sent = new FlamingoException(FlamingoErrorKind.Internal, "why").ToRpcException();
        Assert.Equal($"{call.TraceId}", sent.GetRpcStatus()!.GetDetail<RequestInfo>()!.RequestId);
        Assert.Equal($"{call.TraceId}", sent.ToFlamingoException("Peer").TraceId);
    }

    [Theory]
    [InlineData(StatusCode.Unavailable, FlamingoErrorKind.Unavailable)]
    [InlineData(StatusCode.DeadlineExceeded, FlamingoErrorKind.DeadlineExceeded)]
    [InlineData(StatusCode.Cancelled, FlamingoErrorKind.Unavailable)]
    [InlineData(StatusCode.ResourceExhausted, FlamingoErrorKind.Overloaded)]
    [InlineData(StatusCode.Aborted, FlamingoErrorKind.Aborted)]
    [InlineData(StatusCode.InvalidArgument, FlamingoErrorKind.InvalidArgument)]
    [InlineData(StatusCode.Unauthenticated, FlamingoErrorKind.Unauthenticated)]
    [InlineData(StatusCode.PermissionDenied, FlamingoErrorKind.PermissionDenied)]
    [InlineData(StatusCode.Unknown, FlamingoErrorKind.Internal)]
    public void A_status_without_our_details_is_judged_by_its_code(StatusCode code, FlamingoErrorKind kind)
    {
        var back = new RpcException(new Status(code, "said")).ToFlamingoException("Resampler");
        Assert.Equal(kind, back.Kind);
        Assert.Equal("Resampler: said", back.Message);
    }

    [Fact]
    public void A_peer_that_cannot_be_reached_is_named_with_the_reason_and_the_remedy()
    {
        var refused = new SocketException((int)SocketError.ConnectionRefused);
        var reset = new SocketException((int)SocketError.ConnectionReset);
        var gone = new RpcException(new Status(StatusCode.Unavailable, "Error connecting to subchannel.", refused));
        Assert.Equal($"X at http://a cannot be reached: {refused.Message}. Start it.",
            gone.ToFlamingoException("X at http://a", "Start it.").Message);
        var broken = new RpcException(new Status(StatusCode.Internal, "Error reading next message.", new IOException("aborted", reset)));
        Assert.Equal($"X at http://a: the connection broke ({reset.Message}).",
            broken.ToFlamingoException("X at http://a", "Start it.").Message);
    }

    [Fact]
    public void A_broken_transport_is_unavailable_whatever_the_code() =>
        Assert.Equal(FlamingoErrorKind.Unavailable,
            new RpcException(new Status(StatusCode.Internal, "died",
                new InvalidOperationException("outer", new IOException("reset")))).ToFlamingoException("Peer").Kind);
}
