using Flamingo.Stages;
using Flamingo.Transport.Wire;
using Grpc.Core;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Serving;

internal sealed class VisionEncoderService(IVisionEncoder stage) : V1.VisionEncoder.VisionEncoderBase
{
    public override async Task<V1.VisionEncoderDescription> Describe(V1.DescribeVisionEncoderRequest request, ServerCallContext context) =>
        (await stage.DescribeAsync(context.CancellationToken)).ToMessage();

    public override async Task<V1.EncodePicturesResponse> Encode(V1.EncodePicturesRequest request, ServerCallContext context)
    {
        var encoding = await stage.EncodeAsync(new VisionEncodeRequest([.. request.Pictures.Select(picture => picture.Memory)], request.IncludePooled), context.CancellationToken);
        var response = new V1.EncodePicturesResponse { WeightsDigest = encoding.WeightsDigest };
        response.Pictures.AddRange(encoding.Pictures.Select(picture => new V1.PictureFeatures { Features = picture.Features.ToMessage(), Pooled = picture.Pooled?.ToMessage() }));
        return response;
    }
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

    public override async Task Generate(V1.GenerateTokensRequest request, IServerStreamWriter<V1.GenerateTokensResponse> stream, ServerCallContext context)
    {
        await foreach (var item in stage.GenerateAsync(request.ToRecord(), context.CancellationToken))
            await stream.WriteAsync(item.ToMessage(), context.CancellationToken);
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

internal sealed class FlamingoService(IFlamingo flamingo) : V1.Flamingo.FlamingoBase
{
    public override async Task Generate(V1.GenerateRequest request, IServerStreamWriter<V1.GenerateResponse> stream, ServerCallContext context)
    {
        await foreach (var item in flamingo.GenerateAsync(request.ToRecord(), context.CancellationToken))
            await stream.WriteAsync(item.ToMessage(), context.CancellationToken);
    }

    public override async Task<V1.RankResponse> Rank(V1.RankRequest request, ServerCallContext context) =>
        (await flamingo.RankAsync(request.ToRecord(), context.CancellationToken)).ToMessage();

    public override async Task<V1.EncodeResponse> Encode(V1.EncodeRequest request, ServerCallContext context) =>
        (await flamingo.EncodeAsync(new FlamingoEncodeRequest([.. request.Pictures.Select(picture => picture.Memory)], request.IncludePooled), context.CancellationToken)).ToMessage();

    public override async Task<V1.Model> GetModel(V1.GetModelRequest request, ServerCallContext context) => (await flamingo.GetModelAsync(context.CancellationToken)).ToMessage();
}
