using Flamingo.Abstractions;
using Flamingo.Bench.Measuring;
using Flamingo.Checkpoints;
using Flamingo.Gateway;
using Flamingo.LanguageModel.Engine.Generation;
using Flamingo.LanguageModel.Execution;
using Flamingo.Modeling.Runtime;
using Flamingo.Modeling.Weights;
using Flamingo.Resampler.Execution;
using Flamingo.Stages;
using Flamingo.VisionEncoder.Execution;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using TorchSharp;

namespace Flamingo.Bench.Stacks;

/// <summary>
/// All stages and the gateway's pipeline in this process, composed as in the command line, with a memory cache and without Redis.
/// </summary>
public sealed class EmbeddedStack : IAsyncDisposable
{
    private readonly ServiceProvider _services;
    private readonly TimeProvider _time;

    private EmbeddedStack(ServiceProvider services, ModelDirectory directory, FlamingoModel model, NoisePictures pictures,
        TimeProvider time)
    {
        (_services, Directory, Model, Pictures, _time) = (services, directory, model, pictures, time);
        Prompts = new ShotPrompts(pictures, model.Language.EndOfChunkToken);
    }

    public ModelDirectory Directory { get; }

    public FlamingoModel Model { get; }

    public NoisePictures Pictures { get; }

    public ShotPrompts Prompts { get; }

    /// <summary>The state and counters of the engine after its last step.</summary>
    public EngineStatistics Engine => ((LanguageModelStage)Stage<ILanguageModel>()).Statistics;

    public IFlamingo Flamingo => _services.GetRequiredService<IFlamingo>();

    public ISupportSets SupportSets => _services.GetRequiredService<ISupportSets>();

    public static async Task<EmbeddedStack> LoadAsync(ModelDirectory directory, BenchRequest request, TimeProvider time,
        CancellationToken cancellation)
    {
        var services = new ServiceCollection();
        services.AddSingleton<IConfiguration>(new ConfigurationBuilder()
            .AddInMemoryCollection([new("Model:Directory", directory.Path), new("Model:Threads", $"{request.Threads}")])
            .AddInMemoryCollection(request.Settings).Build());
        services.AddLogging().AddSingleton(time);
        services.AddVisionEncoderStage().AddResamplerStage().AddLanguageModelStage().AddGatewayPipeline();
        var provider = services.BuildServiceProvider();
        try
        {
            var model = await provider.GetRequiredService<IFlamingo>().GetModelAsync(cancellation);
            return new EmbeddedStack(provider, directory, model, new NoisePictures(model.Vision.ImageSize, request.Seed), time);
        }
        catch
        {
            await provider.DisposeAsync();
            throw;
        }
    }

    /// <summary>Returns a stage so that another host can serve it. This stack remains its owner.</summary>
    public T Stage<T>()
        where T : class => _services.GetRequiredService<T>();

    /// <summary>Returns the options of a class with the values that the stages use.</summary>
    public T Options<T>()
        where T : class => _services.GetRequiredService<IOptions<T>>().Value;

    /// <summary>Bytes of all stages' weights in the compute dtype with the given storage; null for the actual storage.</summary>
    public long WeightBytes(WeightStorage? storage = null)
    {
        var options = Options<ModelOptions>();
        return Directory.Config.Weights.Keys.Sum(part =>
        {
            using var file = Directory.OpenWeights(part);
            return WeightsReader.BytesOf(file, ModelRuntime.Dtype(options), storage ?? ModelRuntime.Storage(options));
        });
    }

    /// <summary>
    /// Number of tensors of all stages that are not disposed. It is counted on the inference thread, after its pending work.
    /// </summary>
    public Task<long> LiveTensorsAsync(
        CancellationToken cancellation) =>
            _services.GetRequiredService<InferenceThread>()
                .RunAsync(() => DisposeScopeManager.Statistics.ThreadTotalLiveCount, cancellation);

    public Task<TimedAnswer> AskAsync(FlamingoRequest request,
        CancellationToken cancellation) => TimedAnswer.AskAsync(Flamingo, request, _time, cancellation);

    public ValueTask DisposeAsync() => _services.DisposeAsync();
}
