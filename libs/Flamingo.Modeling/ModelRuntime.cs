using Flamingo.Checkpoints;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using TorchSharp;

namespace Flamingo.Modeling;

/// <summary>What the stages of one process share: the opened model directory and the inference thread.</summary>
public static class ModelRuntime
{
    /// <summary>Registers <see cref="ModelOptions"/>, <see cref="ModelDirectory"/> and <see cref="InferenceThread"/> once, however many stages ask.</summary>
    public static IServiceCollection AddModelRuntime(this IServiceCollection services)
    {
        services.AddOptions<ModelOptions>().BindConfiguration(ModelOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.TryAddSingleton(provider => ModelDirectory.Open(provider.GetRequiredService<IOptions<ModelOptions>>().Value.Directory));
        services.TryAddSingleton(provider =>
        {
            var threads = provider.GetRequiredService<IOptions<ModelOptions>>().Value.Threads;
            return new InferenceThread(threads > 0 ? threads : Environment.ProcessorCount);
        });
        return services;
    }

    /// <exception cref="CheckpointException">The device is not there.</exception>
    public static torch.Device Device(ModelOptions options)
    {
        if (options.Device.StartsWith("cuda", StringComparison.Ordinal) && !torch.cuda.is_available())
            throw new CheckpointException($"Model:Device is '{options.Device}', but this build or machine has no CUDA. Build with -p:TorchBackend=cuda on a GPU machine, or set cpu.");
        return torch.device(options.Device);
    }
}
