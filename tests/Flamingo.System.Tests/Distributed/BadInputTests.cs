using System.Buffers.Binary;
using Flamingo.Abstractions;
using Flamingo.Client;
using Flamingo.Protos.V1;
using Flamingo.SystemTests.Episodes;
using Flamingo.Testing;
using Google.Protobuf;
using Google.Rpc;
using Grpc.Core;
using Grpc.Net.Client;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.SystemTests.Distributed;

/// <summary>The public service rejects bad input with INVALID_ARGUMENT and names the field and the remedy of every fault.</summary>
public sealed class BadInputTests(Stack shared) : HostTests(shared)
{
    private static readonly byte[] Good =
        File.ReadAllBytes(RepositoryFiles.Path("tests", "reference", "preprocessing", "in", "rgb-320x240.png"));

    [Fact(Timeout = 60_000)]
    public async Task All_faults_of_a_prompt_and_its_sampling_come_at_once()
    {
        var request = new GenerateRequest
        {
            Segments = { new V1.PromptSegment { Text = "an <image> here" }, new V1.PromptSegment { PictureId = "not-an-id" },
                new V1.PromptSegment { Text = "Output:" } },
            Sampling = new Sampling { MaxTokens = 0, Temperature = 2.5f, TopK = -1, TopP = 0, RepetitionPenalty = 0.01f,
                StopStrings = { "" }, StopTokens = { 512 } },
        };
        await RefusedAsync(request, "segments[0].text", "segments[1].picture_id", "sampling.max_tokens", "sampling.temperature",
            "sampling.top_k", "sampling.top_p", "sampling.repetition_penalty", "sampling.stop_strings", "sampling.stop_tokens");
        await RefusedAsync(new GenerateRequest { Segments = { new V1.PromptSegment { Text = "Output:" } },
            Sampling = new Sampling { Temperature = float.NaN, TopP = float.NaN } }, "sampling.temperature", "sampling.top_p");
        await RefusedAsync(new GenerateRequest { Segments = { new V1.PromptSegment { Text = "Output:" } },
            Sampling = new Sampling { FrequencyPenalty = -3, PresencePenalty = float.NaN, MinP = 1.5f, NoRepeatNgramSize = -1,
                MinTokens = 33 } }, "sampling.frequency_penalty", "sampling.presence_penalty", "sampling.min_p",
            "sampling.no_repeat_ngram_size", "sampling.min_tokens");
    }

    // The first token is allowed, and the second is refused in the middle of the answer.
    [Fact(Timeout = 60_000)]
    public async Task Sampling_that_leaves_no_token_is_named_in_the_middle_of_an_answer()
    {
        using var client = new FlamingoClient(Shared.Gateway.Address);
        var refused = await Assert.ThrowsAsync<FlamingoException>(() => client.CompleteAsync(
            new FlamingoRequest([new FlamingoText("Output:")], new() { AllowedTokens = [300], NoRepeatNgramSize = 1 }),
            Cancellation));
        Assert.Equal(FlamingoErrorKind.InvalidArgument, refused.Kind);
        Assert.Equal(
            ["sampling.allowed_tokens", "sampling.no_repeat_ngram_size"], refused.Faults.Select(fault => fault.Field));
        Assert.All(refused.Faults, fault => Assert.Contains("token 2 of the answer", fault.Problem, StringComparison.Ordinal));
    }

    [Fact(Timeout = 60_000)]
    public async Task Pictures_are_judged_before_and_while_they_are_decoded()
    {
        await RefusedAsync(Pictures(Good, "no picture"u8.ToArray(), Bmp(10_000, 5_001), Bmp(0, 7), [], Good), "segments[1].picture",
            "segments[2].picture", "segments[3].picture", "segments[4].picture");
        await RefusedAsync(Pictures(Good[..1500], Good, Good[..^2000]), "segments[0].picture", "segments[2].picture");
        using var client = new FlamingoClient(Shared.Gateway.Address);
        var refused = await Assert.ThrowsAsync<FlamingoException>(
            () => client.EncodeAsync([Good, Good.AsMemory(0, 1500)], cancellation: Cancellation));
        Assert.Equal("pictures[1].picture", Assert.Single(refused.Faults).Field);
        Assert.Single((await client.EncodeAsync([Good], cancellation: Cancellation)).Pictures); // the valid picture is not affected
    }

    [Fact(Timeout = 60_000)]
    public async Task Empty_and_overlong_prompts_are_refused()
    {
        await RefusedAsync(new GenerateRequest(), "segments");
        await RefusedAsync(new GenerateRequest { Segments = { new V1.PromptSegment { Text = "" } } }, "segments");
        await RefusedAsync(new GenerateRequest { Segments = { new V1.PromptSegment() } }, "segments[0]");
        await RefusedAsync(new GenerateRequest {
            Segments = { new V1.PromptSegment { Text = string.Concat(Enumerable.Repeat(" small red circle", 1000)) } } }, "segments");
        await RefusedAsync(new GenerateRequest { Segments = { Enumerable.Repeat(new V1.PromptSegment { Text = "a" }, 1025) } }, "segments");
        await RefusedAsync(new GenerateRequest {
            Segments = { new V1.PromptSegment { Text = "an <ima" }, new V1.PromptSegment { Text = "ge> here" } } }, "segments");
    }

    [Fact(Timeout = 60_000)]
    public async Task Rank_and_encode_judge_their_own()
    {
        using var client = new FlamingoClient(Shared.Gateway.Address);
        var ranked = await Assert.ThrowsAsync<FlamingoException>(
            () => client.RankAsync(new Prompt().Text("an <image>"), ["", "a", "<image>"], Cancellation));
        Assert.Equal(["candidates[0]", "candidates[2]", "segments[0].text"], ranked.Faults.Select(fault => fault.Field).Order());
        Assert.Equal("candidates", Assert.Single(
            (await Assert.ThrowsAsync<FlamingoException>(() => client.RankAsync(new Prompt().Text("a"), [], Cancellation))).Faults).Field);
        Assert.Equal("pictures", Assert.Single(
            (await Assert.ThrowsAsync<FlamingoException>(() => client.EncodeAsync([], cancellation: Cancellation))).Faults).Field);
    }

    [Fact(Timeout = 60_000)]
    public async Task An_unknown_picture_is_not_found_by_name()
    {
        var unknown = new string('c', 64);
        using var channel = GrpcChannel.ForAddress(Shared.Gateway.Address);
        using var call = new V1.Flamingo.FlamingoClient(channel).Generate(
            new GenerateRequest { Segments = { new V1.PromptSegment { PictureId = unknown } } }, deadline: Deadline.In(30));
        var refused = await Assert.ThrowsAsync<RpcException>(() => call.ResponseStream.MoveNext(Cancellation));
        Assert.Equal(StatusCode.NotFound, refused.StatusCode);
        Assert.Equal(unknown, refused.GetRpcStatus()!.GetDetail<ResourceInfo>()!.ResourceName);
        Assert.Contains(unknown, refused.Status.Detail, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task Stages_judge_tensors_themselves()
    {
        using var resampling = GrpcChannel.ForAddress(Shared.Resampler.Address);
        var cut = new Tensor { Dtype = Dtype.Float32, Shape = { 1, 64, 128 }, Data = ByteString.CopyFrom(new byte[100]) };
        var foreign = new Tensor { Dtype = Dtype.Float32, Shape = { 1, 64, 4 }, Data = ByteString.CopyFrom(new byte[1024]) };
        var resampler = new V1.Resampler.ResamplerClient(resampling);
        AssertFaults(await Assert.ThrowsAsync<RpcException>(
            () =>
                resampler.ResampleAsync(new ResampleRequest { Features = { cut, foreign, cut } }, deadline: Deadline.In(30)).ResponseAsync),
                "features[0].data", "features[2].data");
        AssertFaults(await Assert.ThrowsAsync<RpcException>(
            () => resampler.ResampleAsync(new ResampleRequest { Features = { foreign } }, deadline: Deadline.In(30)).ResponseAsync),
            "features[0]");

        using var generating = GrpcChannel.ForAddress(Shared.LanguageModel.Address);
        var latents = new Latents { Tensor =
            new Tensor { Dtype = Dtype.Float32, Shape = { 16, 128 }, Data = ByteString.CopyFrom(new byte[16 * 128 * 4]) },
            Checksum = ByteString.CopyFrom(new byte[32]) };
        using var call = new V1.LanguageModel.LanguageModelClient(generating).Generate(
            new GenerateTokensRequest { Segments =
                { new Segment { Picture = new KeyedPicture { Key = new string('d', 64), Latents = latents } } } },
                deadline: Deadline.In(30));
        AssertFaults(await Assert.ThrowsAsync<RpcException>(() => call.ResponseStream.MoveNext(Cancellation)), "segments[0].latents");
    }

    private async Task RefusedAsync(GenerateRequest request, params string[] fields)
    {
        using var channel = GrpcChannel.ForAddress(Shared.Gateway.Address);
        using var call = new V1.Flamingo.FlamingoClient(channel).Generate(request, deadline: Deadline.In(30));
        AssertFaults(await Assert.ThrowsAsync<RpcException>(async () =>
        {
            while (await call.ResponseStream.MoveNext(Cancellation))
                Assert.Equal(GenerateResponse.EventOneofCase.Pictures, call.ResponseStream.Current.EventCase);
        }), fields);
    }

    private static void AssertFaults(RpcException refused, params string[] fields)
    {
        Assert.Equal(StatusCode.InvalidArgument, refused.StatusCode);
        var violations = refused.GetRpcStatus()!.GetDetail<BadRequest>()!.FieldViolations;
        Assert.Equal(fields.Order(), violations.Select(violation => violation.Field).Order());
        Assert.All(violations, violation => Assert.All(violation.Description.Split('\n'), line => Assert.NotEmpty(line)));
        Assert.All(violations, violation => Assert.Equal(2, violation.Description.Split('\n').Length)); // problem and remedy
        Assert.All(fields, field => Assert.Contains(field, refused.Status.Detail, StringComparison.Ordinal));
    }

    private static GenerateRequest Pictures(params byte[][] files) =>
        new() { Segments = { files.Select(file => new V1.PromptSegment { Picture = ByteString.CopyFrom(file) }) } };

    /// <summary>A BMP file with a header that states a size, but without pixels.</summary>
    private static byte[] Bmp(int width, int height)
    {
        var file = new byte[54];
        (file[0], file[1], file[10], file[14], file[26], file[28]) = ((byte)'B', (byte)'M', 54, 40, 1, 24);
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(2), 54);
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(18), width);
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(22), height);
        return file;
    }
}
