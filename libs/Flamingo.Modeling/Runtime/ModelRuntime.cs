using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Configuration;
using Flamingo.Modeling.Devices;
using Flamingo.Modeling.Memory;
using Flamingo.Modeling.Natives;
using Flamingo.Modeling.Weights;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using TorchSharp;
using ScalarType = TorchSharp.torch.ScalarType;

namespace Flamingo.Modeling.Runtime;

/// <summary>Registers what the stages of one process share: the opened model directory and the inference thread.</summary>
public static class ModelRuntime
{
    /// <summary>
    /// Registers <see cref="ModelOptions"/>, <see cref="ModelDirectory"/> and <see cref="InferenceThread"/> once, however many
    /// stages call it. All registered instances of <see cref="MemoryClaim"/> are added up; if they do not fit together, start-up
    /// fails before the first weight is read.
    /// </summary>
    public static IServiceCollection AddModelRuntime(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddOptionSection<ModelOptions>(ModelOptions.Section);
        services.TryAddSingleton(provider => ModelDirectory.Open(provider.GetRequiredService<IOptions<ModelOptions>>().Value.Directory));
        services.TryAddSingleton(_ => AvailableMemory.OfThisProcess());
        services.TryAddSingleton<Func<string, DeviceMemory>>(DeviceMemory.Of);
        services.TryAddSingleton(provider =>
        {
            var options = provider.GetRequiredService<IOptions<ModelOptions>>().Value;
            // The libraries are loaded here, because every stage resolves the thread before it creates a tensor or reads a weight.
            TorchLibraries.Load(options);
            var threads = options.Threads > 0 ? options.Threads : Environment.ProcessorCount;
            CheckMemory(provider, options, threads);
            return new InferenceThread(threads, () =>
            {
                // The host stops in an orderly way and with an exit code, so that its supervisor starts a new process. If stages
                // are embedded, there is no host to stop.
                Environment.ExitCode = DeviceFault.ExitCode;
                provider.GetService<IHostApplicationLifetime>()?.StopApplication();
            }, provider.GetService<ILogger<InferenceThread>>());
        });
        services.AddSingleton(provider => new WorkerGroup([provider.GetRequiredService<InferenceThread>().Worker]));
        return services;
    }

    /// <summary>Returns the device that a stage computes on.</summary>
    /// <param name="ofStage">The stage's own device option; empty for <see cref="ModelOptions.Device"/>.</param>
    /// <exception cref="CheckpointException">The build or the machine has no such device.</exception>
    public static torch.Device Device(ModelOptions options, string ofStage = "")
    {
        var name = DeviceName(options, ofStage);
        if (name == "cpu") return torch.CPU;
        if (!torch.cuda.is_available())
            throw new CheckpointException(
                $"The device is '{name}', but this build or machine has no CUDA. " +
                "On a GPU machine build with -p:TorchBackend=pytorch and set " +
                "Model:TorchLibraries to its PyTorch installation, or set cpu.");
        // TF32 would round f32 operands to 11 bits.
        torch.backends.cuda.matmul.allow_tf32 = false;
        torch.backends.cudnn.allow_tf32 = false;
        return torch.device(name);
    }

    public static ScalarType Dtype(ModelOptions options) => options.Dtype == "bfloat16" ? ScalarType.BFloat16 : ScalarType.Float32;

    public static WeightStorage Storage(ModelOptions options) =>
        options.WeightStorage == "int8" ? WeightStorage.Int8 : WeightStorage.Native;

    /// <summary>The memory claim of a stage that holds only weights.</summary>
    /// <param name="part">Name of the weights file: vision, resampler or language.</param>
    /// <param name="device">The stage's own device option.</param>
    public static MemoryClaim WeightsClaim(IServiceProvider provider, string part, string holder, string device)
    {
        var options = provider.GetRequiredService<IOptions<ModelOptions>>().Value;
        using var file = provider.GetRequiredService<ModelDirectory>().OpenWeights(part);
        return new MemoryClaim(holder, [MemoryReport.Weights(file, Dtype(options), Storage(options))])
        {
            Device = DeviceName(options, device),
        };
    }

    /// <summary>Returns the name of a stage's device: cpu or cuda:N.</summary>
    public static string DeviceName(ModelOptions options, string ofStage) =>
        (ofStage.Length > 0 ? ofStage : options.Device) is var name && name == "cuda" ? "cuda:0" : name;

    private static void CheckMemory(IServiceProvider provider, ModelOptions options, int threads)
    {
        var model = provider.GetRequiredService<ModelDirectory>();
        var log = provider.GetService<ILoggerFactory>()?.CreateLogger(typeof(ModelRuntime)) ?? NullLogger.Instance;
        log.ModelOpened(
            model.Config.ModelId, Path.GetFullPath(model.Path), options.Dtype, options.WeightStorage, threads,
            TorchLibraries.Loaded is { } loaded ? $"{loaded.Version} in {loaded.Folder}" : "of its own build");
        var report = new MemoryReport([.. provider.GetServices<MemoryClaim>()]);
        report.Check(provider.GetRequiredService<AvailableMemory>(), provider.GetRequiredService<Func<string, DeviceMemory>>());
        log.MemoryPlanned(report.ToString());
    }
}
