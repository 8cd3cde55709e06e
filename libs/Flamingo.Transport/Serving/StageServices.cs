using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.Transport.Wire;
using Flamingo.Wire;
using Grpc.Core;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Serving;

internal sealed class VisionEncoderService(IVisionEncoder stage) : V1.VisionEncoder.VisionEncoderBase
{
    public override async Task<V1.VisionEncoderDescription> Describe(V1.DescribeVisionEncoderRequest request, ServerCallContext context) =>
        (await stage.DescribeAsync(context.CancellationToken)).ToMessage();

    public override async Task<V1.EncodePicturesResponse> Encode(V1.EncodePicturesRequest request, ServerCallContext context) =>
        (await stage.EncodeAsync(request.ToRecord(), context.CancellationToken)).ToMessage();

    public override async Task<V1.VisionEncoderStatistics> GetStatistics(
        V1.GetVisionEncoderStatisticsRequest request, ServerCallContext context) =>
        (await stage.GetStatisticsAsync(context.CancellationToken)).ToMessage();
}

internal sealed class ResamplerService(IResampler stage) : V1.Resampler.ResamplerBase
{
    public override async Task<V1.ResamplerDescription> Describe(V1.DescribeResamplerRequest request, ServerCallContext context) =>
        (await stage.DescribeAsync(context.CancellationToken)).ToMessage();

    public override async Task<V1.ResampleResponse> Resample(V1.ResampleRequest request, ServerCallContext context) =>
        (await stage.ResampleAsync(request.ToRecord(), context.CancellationToken)).ToMessage();
}

internal sealed class LanguageModelService(ILanguageModel stage) : V1.LanguageModel.LanguageModelBase
{
    public override async Task<V1.LanguageModelDescription> Describe(V1.DescribeLanguageModelRequest request, ServerCallContext context) =>
        (await stage.DescribeAsync(context.CancellationToken)).ToMessage();

    public override async Task Generate(
        V1.GenerateTokensRequest request, IServerStreamWriter<V1.GenerateTokensResponse> stream, ServerCallContext context)
    {
        await foreach (var item in stage.GenerateAsync(request.ToRecord(), context.CancellationToken))
            await stream.WriteAsync(item.ToStageMessage(), context.CancellationToken);
    }

    public override async Task<V1.RankCandidatesResponse> Rank(V1.RankCandidatesRequest request, ServerCallContext context) =>
        (await stage.RankAsync(request.ToRecord(), context.CancellationToken)).ToMessage();

    public override async Task<V1.TokenizeResponse> Tokenize(V1.TokenizeRequest request, ServerCallContext context)
    {
        var response = new V1.TokenizeResponse();
        response.Ids.AddRange(await stage.TokenizeAsync(request.Segments.ToRecords(), context.CancellationToken));
        return response;
    }
}
