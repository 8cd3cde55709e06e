using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.Testing;
using Flamingo.Transport.Wire;
using Flamingo.Wire;
using Google.Protobuf;
using Google.Rpc;
using Grpc.Core;
using Grpc.Net.Client;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.SystemTests.Distributed;

/// <summary>The language model behind gRPC trusts no caller with keys.</summary>
public sealed class KeyedPictureTests(Stack shared) : HostTests(shared)
{
    private static readonly string Victim = new('1', 64), Attacker = new('2', 64);

    [Fact(Timeout = 60_000)]
    public async Task Whoever_binds_latents_to_a_key_first_changes_no_other_tenants_answer()
    {
        using var channel = GrpcChannel.ForAddress(Shared.LanguageModel.Address);
        var model = new V1.LanguageModel.LanguageModelClient(channel);
        async Task<IEnumerable<float>> Scores(string tenant, PictureSegment picture, bool asOlderGateway = false)
        {
            var request =
                new RankRequest([picture, new TextSegment("Output:")], [" a small red circle"]) { Tenant = tenant }.ToMessage();
            if (asOlderGateway) request.Segments[0].Picture.Checksum = ByteString.Empty;
            return (await model.RankAsync(request, deadline: Deadline.In(30)).ResponseAsync).Candidates[0].TokenLogLikelihoods;
        }

        var (key, unused) = (new string('8', 64), new string('9', 64));
        var (bound, meant) = (Latents(1), Latents(2));
        var expected = await Scores(Victim, new(unused, meant));
        var attackers = await Scores(Attacker, new(key, bound));
        Assert.NotEqual(expected, attackers);
        Assert.Equal(expected, await Scores(Victim, new(key, meant)));
        Assert.Equal(expected, await Scores(Victim, new(key, null) { Checksum = meant.Checksum }));
        Assert.Equal(expected, await Scores(Victim, new(key, meant), asOlderGateway: true));
        var missing = await Assert.ThrowsAsync<RpcException>(() => Scores(Victim, new(key, null), asOlderGateway: true));
        Assert.Equal((StatusCode.FailedPrecondition, nameof(FlamingoErrorKind.LatentsMissing)),
            (missing.StatusCode, missing.GetRpcStatus()!.GetDetail<ErrorInfo>()!.Reason));
        Assert.Equal(attackers, await Scores(Attacker, new(key, null) { Checksum = bound.Checksum }));
    }

    [Fact(Timeout = 60_000)]
    public async Task Latents_that_are_not_finite_and_foreign_keys_are_refused()
    {
        using var channel = GrpcChannel.ForAddress(Shared.LanguageModel.Address);
        var model = new V1.LanguageModel.LanguageModelClient(channel);
        async Task<IEnumerable<string>> Faults(PictureSegment picture, string tenant = "")
        {
            var request = new RankRequest([picture, new TextSegment("Output:")], [" a"]) { Tenant = tenant };
            var refused = await Assert.ThrowsAsync<RpcException>(
                () => model.RankAsync(request.ToMessage(), deadline: Deadline.In(30)).ResponseAsync);
            Assert.Equal(StatusCode.InvalidArgument, refused.StatusCode);
            return refused.GetRpcStatus()!.GetDetail<BadRequest>()!.FieldViolations.Select(violation => violation.Field);
        }

        var key = new string('7', 64);
        Assert.Equal(["segments[0].latents"], await Faults(new(key, Latents(float.NaN))));
        Assert.Equal(["segments[0].key"], await Faults(new("7", Latents(1))));
        Assert.Equal(["tenant"], await Faults(new(key, Latents(1)), "somebody"));
        var sound = new RankRequest([new PictureSegment(key, Latents(1)), new TextSegment("Output:")], [" a"]);
        Assert.Single((await model.RankAsync(sound.ToMessage(), deadline: Deadline.In(30)).ResponseAsync).Candidates);
    }

    private static ChecksummedLatents Latents(float scale) => ChecksummedLatents.Of(
        TensorData.FromFloats([.. Enumerable.Range(0, 16 * 128).Select(index => scale * MathF.Sin(index * scale))], 16, 128));
}
