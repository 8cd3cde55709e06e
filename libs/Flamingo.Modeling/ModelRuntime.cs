using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Configuration;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using TorchSharp;
using ScalarType = TorchSharp.torch.ScalarType;

namespace Flamingo.Modeling;

/// <summary>What the stages of one process share: the opened model directory and the inference thread.</summary>
public static partial class ModelRuntime
{
    /// <summary>
    /// Registers <see cref="ModelOptions"/>, <see cref="ModelDirectory"/> and <see cref="InferenceThread"/> once, however many stages ask.
    /// Every <see cref="MemoryClaim"/> that is registered counts: what does not fit together is refused before the first weight is read.
    /// </summary>
    public static IServiceCollection AddModelRuntime(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddOptionSection<ModelOptions>(ModelOptions.Section);
        services.TryAddSingleton(provider => ModelDirectory.Open(provider.GetRequiredService<IOptions<ModelOptions>>().Value.Directory));
        services.TryAddSingleton(_ => AvailableMemory.OfThisProcess());
        services.TryAddSingleton(provider =>
        {
            var options = provider.GetRequiredService<IOptions<ModelOptions>>().Value;
            // here, because every stage asks for the thread before it reads a weight
            if (Device(options).type == DeviceType.CPU) CheckMemory(provider);
            return new InferenceThread(options.Threads > 0 ? options.Threads : Environment.ProcessorCount);
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

    public static ScalarType Dtype(ModelOptions options) => options.Dtype == "bfloat16" ? ScalarType.BFloat16 : ScalarType.Float32;

    public static WeightStorage Storage(ModelOptions options) => options.WeightStorage == "int8" ? WeightStorage.Int8 : WeightStorage.Native;

    /// <summary>The name of weights as they are computed: the same file answers otherwise in another dtype or storage, so it needs another name.</summary>
    /// <param name="digest">Of the file.</param>
    public static string ComputedDigest(string digest, ScalarType dtype, WeightStorage storage) => dtype == ScalarType.Float32 && storage == WeightStorage.Native
        ? digest
        : Hash($"{digest} in {Computing(dtype, storage)}");

    /// <summary>The same of a stage whose configuration shapes results too: equal weights under another head count are another model.</summary>
    /// <param name="digest">Of the file, over what shapes results.</param>
    /// <param name="config">What shapes results besides; a record of flamingo.json.</param>
    public static string ComputedDigest<TConfig>(string digest, TConfig config, ScalarType dtype, WeightStorage storage) =>
        Hash($"{digest} with {JsonSerializer.Serialize(config)} in {Computing(dtype, storage)}");

    /// <returns>SHA-256 in lowercase hexadecimal.</returns>
    public static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    /// <summary>The claim of a stage that holds weights and nothing else of note.</summary>
    /// <param name="part">vision, resampler or language.</param>
    public static MemoryClaim WeightsClaim(IServiceProvider provider, string part, string holder)
    {
        var options = provider.GetRequiredService<IOptions<ModelOptions>>().Value;
        using var file = provider.GetRequiredService<ModelDirectory>().OpenWeights(part);
        return new MemoryClaim(holder, [MemoryReport.Weights(file, Dtype(options), Storage(options))]);
    }

    private static void CheckMemory(IServiceProvider provider)
    {
        var report = new MemoryReport([.. provider.GetServices<MemoryClaim>()]);
        report.Check(provider.GetRequiredService<AvailableMemory>());
        if (provider.GetService<ILoggerFactory>()?.CreateLogger(typeof(MemoryReport)) is { } logger) MemoryStated(logger, report.ToString());
    }

    [LoggerMessage(1, LogLevel.Information, "Memory held: {Memory}")]
    private static partial void MemoryStated(ILogger logger, string memory);

    private static string Computing(ScalarType dtype, WeightStorage storage) => storage == WeightStorage.Native ? $"{dtype}" : $"{dtype} from {storage}";
}
