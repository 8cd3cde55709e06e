using Flamingo.Gateway;
using Flamingo.LanguageModel.Execution;
using Flamingo.Resampler.Execution;
using Flamingo.VisionEncoder.Execution;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Cli.Running;

/// <summary>All stages and the gateway's pipeline in one process: the one place that lists them.</summary>
public static class EmbeddedFlamingo
{
    public static IServiceCollection AddEmbeddedFlamingo(this IServiceCollection services) => services
        .AddVisionEncoderStage()
        .AddResamplerStage()
        .AddLanguageModelStage()
        .AddGatewayPipeline();
}
