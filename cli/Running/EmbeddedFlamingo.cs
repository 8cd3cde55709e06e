using Flamingo.Gateway;
using Flamingo.LanguageModel.Execution;
using Flamingo.Resampler.Execution;
using Flamingo.VisionEncoder.Execution;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Cli.Running;

/// <summary>Registers all stages and the gateway's pipeline for one process. Only this class lists them.</summary>
public static class EmbeddedFlamingo
{
    public static IServiceCollection AddEmbeddedFlamingo(this IServiceCollection services) => services
        .AddVisionEncoderStage()
        .AddResamplerStage()
        .AddLanguageModelStage()
        .AddGatewayPipeline();
}
