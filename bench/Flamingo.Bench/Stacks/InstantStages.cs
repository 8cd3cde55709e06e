using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Gateway;
using Flamingo.Stages;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Bench.Stacks;

/// <summary>
/// Stages with the description of a real model that answer immediately, so that the cost of a request is only the gateway's.
/// </summary>
public sealed class InstantStages(FlamingoModel model) : IVisionEncoder, IResampler, ILanguageModel
{
    /// <summary>Creates the gateway's pipeline over these stages.</summary>
    public static ServiceProvider Build(FlamingoModel model, TimeProvider time)
    {
        var stages = new InstantStages(model);
        var services = new ServiceCollection().AddLogging().AddSingleton(time);
        services.AddSingleton<IConfiguration>(new ConfigurationBuilder().Build());
        services.AddSingleton<IVisionEncoder>(stages).AddSingleton<IResampler>(stages).AddSingleton<ILanguageModel>(stages);
        return services.AddGatewayPipeline().BuildServiceProvider();
    }

    Task<VisionEncoderDescription> IVisionEncoder.DescribeAsync(CancellationToken cancellation) => Task.FromResult(model.Vision);

    Task<ResamplerDescription> IResampler.DescribeAsync(CancellationToken cancellation) => Task.FromResult(model.Resampler);

    Task<LanguageModelDescription> ILanguageModel.DescribeAsync(CancellationToken cancellation) => Task.FromResult(model.Language);

    public Task<VisionEncoding> EncodeAsync(VisionEncodeRequest request, CancellationToken cancellation) =>
        Task.FromResult(new VisionEncoding(model.Vision.WeightsDigest,
            [.. request.Pictures.Select(_ =>
                new PictureFeatures(Zeros(TensorDtype.Float32, 1, model.Vision.Patches, model.Vision.Width), null))]));

    public Task<VisionEncoderStatistics> GetStatisticsAsync(
        CancellationToken cancellation) => Task.FromResult(new VisionEncoderStatistics(0, 0, 0));

    public Task<Resampling> ResampleAsync(ResampleRequest request, CancellationToken cancellation) =>
        Task.FromResult(new Resampling(model.Resampler.WeightsDigest,
            [.. request.Features.Select(_ => Zeros(model.Resampler.LatentDtype, model.Resampler.Latents, model.Resampler.Width))], []));

    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(LanguageModelRequest request,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        await Task.CompletedTask;
        for (var token = 0; token < request.Sampling.MaxTokens; token++) yield return new AnswerTokens("a", [0]);
        yield return AnswerFinished.OfLanguageModel(FinishReason.Length, 1, request.Sampling.MaxTokens, TimeSpan.Zero, TimeSpan.Zero,
            TimeSpan.Zero, model.Language.WeightsDigest);
    }

    public Task<Ranking> RankAsync(RankRequest request,
        CancellationToken cancellation) => throw new NotSupportedException("No figure ranks over instant stages.");

    public Task<IReadOnlyList<int>> TokenizeAsync(IReadOnlyList<PromptSegment> segments,
        CancellationToken cancellation) => throw new NotSupportedException("No figure tokenizes over instant stages.");

    private static TensorData Zeros(TensorDtype dtype, params ReadOnlySpan<int> shape)
    {
        var elements = 1;
        foreach (var length in shape) elements *= length;
        return new TensorData(dtype, [.. shape], new byte[elements * TensorData.ElementSize(dtype)]);
    }
}
