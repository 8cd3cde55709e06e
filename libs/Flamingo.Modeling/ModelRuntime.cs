using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
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
        services.TryAddSingleton(TimeProvider.System);
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

    public static torch.ScalarType Dtype(ModelOptions options) => options.Dtype == "bfloat16" ? torch.ScalarType.BFloat16 : torch.ScalarType.Float32;

    /// <summary>The name of weights as they are computed: the same file answers otherwise in another dtype, so it needs another name.</summary>
    /// <param name="digest">Of the file.</param>
    public static string ComputedDigest(string digest, torch.ScalarType dtype) => dtype == torch.ScalarType.Float32
        ? digest
        : Hash($"{digest} in {dtype}");

    /// <summary>The same of a stage whose configuration shapes results too: equal weights under another head count are another model.</summary>
    /// <param name="digest">Of the file, over what shapes results.</param>
    /// <param name="config">What shapes results besides; a record of flamingo.json.</param>
    public static string ComputedDigest<TConfig>(string digest, TConfig config, torch.ScalarType dtype) => Hash($"{digest} with {JsonSerializer.Serialize(config)} in {dtype}");

    /// <returns>SHA-256 in lowercase hexadecimal.</returns>
    public static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
}
