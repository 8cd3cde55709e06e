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

/// <summary>All stages and the gateway's pipeline in this process, as the command line composes them: memory cache, no Redis.</summary>
public sealed class EmbeddedStack : IAsyncDisposable
{
    private readonly ServiceProvider _services;
    private readonly TimeProvider _time;

    private EmbeddedStack(ServiceProvider services, ModelDirectory directory, FlamingoModel model, NoisePictures pictures, TimeProvider time)
    {
        (_services, Directory, Model, Pictures, _time) = (services, directory, model, pictures, time);
        Prompts = new ShotPrompts(pictures, model.Language.EndOfChunkToken);
    }

    public ModelDirectory Directory { get; }

    public FlamingoModel Model { get; }

    public NoisePictures Pictures { get; }

    public ShotPrompts Prompts { get; }

    /// <summary>What the engine holds and did, after its last step.</summary>
    public EngineStatistics Engine => ((LanguageModelStage)Stage<ILanguageModel>()).Statistics;

    public IFlamingo Flamingo => _services.GetRequiredService<IFlamingo>();

    public ISupportSets SupportSets => _services.GetRequiredService<ISupportSets>();

    public static async Task<EmbeddedStack> LoadAsync(ModelDirectory directory, BenchRequest request, TimeProvider time, CancellationToken cancellation)
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

    /// <summary>One of the stages, to serve it elsewhere; this stack still owns it.</summary>
    public T Stage<T>()
        where T : class => _services.GetRequiredService<T>();

    /// <summary>The value of an options class, as the stages read it.</summary>
    public T Options<T>()
        where T : class => _services.GetRequiredService<IOptions<T>>().Value;

    /// <summary>Bytes of all stages' weights in the dtype that is computed in, held so; as they are held if null.</summary>
    public long WeightBytes(WeightStorage? storage = null)
    {
        var options = Options<ModelOptions>();
        return Directory.Config.Weights.Keys.Sum(part =>
        {
            using var file = Directory.OpenWeights(part);
            return WeightsReader.BytesOf(file, ModelRuntime.Dtype(options), storage ?? ModelRuntime.Storage(options));
        });
    }

    /// <summary>Tensors of all stages that nobody has disposed of. Asked on the thread that they live on, in its turn.</summary>
    public Task<long> LiveTensorsAsync(CancellationToken cancellation) => _services.GetRequiredService<InferenceThread>().RunAsync(() => DisposeScopeManager.Statistics.ThreadTotalLiveCount, cancellation);

    public Task<TimedAnswer> AskAsync(FlamingoRequest request, CancellationToken cancellation) => TimedAnswer.AskAsync(Flamingo, request, _time, cancellation);

    public ValueTask DisposeAsync() => _services.DisposeAsync();
}
