using System.ComponentModel.DataAnnotations;
using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Configuration;
using Flamingo.Modeling.Batching;
using Flamingo.Modeling.Devices;
using Flamingo.Modeling.Runtime;
using Flamingo.Modeling.Tensors;
using Flamingo.Modeling.Weights;
using Flamingo.Resampler.Network;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using static TorchSharp.torch;

namespace Flamingo.Resampler.Execution;

/// <summary>Device, limits and batching of the stage; section <c>Resampler</c>.</summary>
public sealed class ResamplerOptions
{
    public const string Section = "Resampler";

    /// <summary>Torch device of this stage: cpu, cuda or cuda:N. If it is empty, <see cref="ModelOptions.Device"/> applies.</summary>
    [RegularExpression(ModelOptions.Devices, ErrorMessage = "cpu, cuda or cuda:N, or empty to use Model:Device")]
    public string Device { get; set; } = "";

    /// <summary>Most pictures in one call.</summary>
    [Range(1, 4096)]
    public int MaxItems { get; set; } = 64;

    /// <summary>
    /// Most frames of all calls that wait in the stage or are being computed. A call that would exceed it fails with
    /// RESOURCE_EXHAUSTED and a retry delay. The memory plan contains the features of this many frames. A call with more frames is
    /// served if the stage is empty.
    /// </summary>
    [Range(1, 1_000_000)]
    public int MaxQueuedFrames { get; set; } = 512;

    /// <summary>
    /// Most pictures in one forward pass, of one call or of several. More pictures are computed in several passes, so that memory
    /// stays bounded.
    /// </summary>
    [Range(1, 256)]
    public int BatchSize { get; set; } = 16;

    /// <summary>
    /// How long a picture may wait for others to share its forward pass. With 0, it shares the pass only with pictures that are
    /// waiting already.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:00:10")]
    public TimeSpan BatchWait { get; set; } = TimeSpan.FromMilliseconds(2);
}

/// <summary>
/// The resampler as a stage. Features of equal shape share a batch, even if they belong to different calls. On the CPU the
/// latents of an item are bit for bit the same whatever else is in the batch. Latents are rounded to the latent dtype before they
/// are returned, so that a cache miss and a cache hit give the same answer.
/// </summary>
public sealed class ResamplerStage : IResampler, IDisposable
{
    private readonly ResamplerOptions _options;
    private readonly PerceiverResampler _network;
    private readonly BatchMetrics _metrics = new("Flamingo.Resampler", "flamingo.resampler");
    private readonly BatchQueue<Item, Resampled> _queue;
    private readonly QueueBound _bound;
    private readonly DeviceTransfer _transfer;
    private readonly ScalarType _dtype;
    private readonly TimeProvider _time;
    private readonly ILogger _log;

    /// <exception cref="CheckpointException">The weights are missing, damaged or do not fit the configuration.</exception>
    public ResamplerStage(
        ModelDirectory model, InferenceThread thread, IOptions<ResamplerOptions> options, IOptions<ModelOptions> modelOptions,
        TimeProvider time, ILogger<ResamplerStage>? log = null)
    {
        (_time, _log) = (time, log ?? NullLogger<ResamplerStage>.Instance);
        var config = model.Config.Resampler;
        _options = options.Value;
        var device = ModelRuntime.Device(modelOptions.Value, _options.Device);
        _transfer = new DeviceTransfer(device);
        using var file = model.OpenWeights("resampler");
        _dtype = ModelRuntime.Dtype(modelOptions.Value);
        var storage = ModelRuntime.Storage(modelOptions.Value);
        var weights = new WeightsReader(file, device, _dtype, storage, thread.Team);
        _network = new PerceiverResampler(config, weights, model.Config.Vision.ClassTokenInFeatures);
        weights.Finish();
        _queue = new BatchQueue<Item, Resampled>(
            new BatchBounds(_options.BatchSize, _options.BatchWait), item => item.Kind, items => Compute(items, thread),
            thread.RunAsync, time, _metrics.Waited, "the resampler's batch", "resample");
        _bound = new QueueBound(_options.MaxQueuedFrames, "Resampler:MaxQueuedFrames", time);
        _metrics.Watch(() => _queue.Waiting, () => _queue.Running);
        Description = new ResamplerDescription(
            model.Config.ModelId, ComputedDigest.Of(
                model.Config.Weights["resampler"].LatentDigest, config, _dtype, storage), config.Width, config.Latents, config.Width,
            Math.Max(1, config.FrameEmbeddings), _dtype == ScalarType.Float32
                ? StageTensors.ParseDtype(config.LatentDtype)
                : _dtype.ToTensorDtype(), _options.MaxItems);
        _log.StageReady("resampler", device, Description.WeightsDigest);
        _log.Limits(_options.MaxItems, _options.MaxQueuedFrames);
    }

    public ResamplerDescription Description { get; }

    /// <summary>The batches.</summary>
    public Worker Worker => _queue.Worker;

    public Task<ResamplerDescription> DescribeAsync(CancellationToken cancellation) => Task.FromResult(Description);

    public async Task<Resampling> ResampleAsync(ResampleRequest request, CancellationToken cancellation)
    {
        try
        {
            Check(request.Features);
            using var entry = _bound.Enter(request.Features.Sum(features => features.Shape[0]));
            var results =
                await _queue.RunAsync([.. request.Features.Select(features => new Item(features, request.IncludeAttention))], cancellation);
            return new Resampling(
                Description.WeightsDigest, [.. results.Select(result => result.Latents)],
                request.IncludeAttention ? [.. results.Select(result => result.Attention!)] : []);
        }
        catch (FlamingoException refusal)
        {
            _metrics.Refused(refusal);
            throw;
        }
    }

    public void Dispose()
    {
        _queue.Dispose();
        _network.Dispose();
        _transfer.Dispose();
        _metrics.Dispose();
    }

    private List<Resampled> Compute(IReadOnlyList<Item> items, InferenceThread thread)
    {
        var started = _time.GetTimestamp();
        try
        {
            var results = thread.Guarded(() => Resample(items));
            var duration = _time.GetElapsedTime(started);
            _metrics.Computed(items.Count, items.Count, items.Sum(item => item.Features.Shape[0]));
            _metrics.Took(duration);
            _log.BatchComputed(items.Count, duration.TotalMilliseconds);
            return results;
        }
        catch (Exception exception)
        {
            _log.BatchFailed(exception, items.Count);
            throw;
        }
    }

    private List<Resampled> Resample(IReadOnlyList<Item> items)
    {
        var features = items.Select(item => item.Features).ToList();
        var batch = features.ToTensor(_transfer, _dtype).unsqueeze(1);                        // [batch, 1, frames, patches, width]
        // [batch, 1, latents, width], [batch, 1, latents, frames × patches]
        var (latents, attention) = _network.Forward(batch, items[0].WantsAttention);
        var ofItems = latents.squeeze(1).ToItems(Description.LatentDtype, _transfer);
        var read = attention?.squeeze(1).ToItems(TensorDtype.Float32, _transfer);
        return [.. items.Select((_, index) => new Resampled(ofItems[index], read?[index]))];
    }

    private void Check(IReadOnlyList<TensorData> features)
    {
        var faults = new FaultList();
        if (features.Count == 0 || features.Count > _options.MaxItems)
            faults.Add(new("features", $"One call contains {features.Count} items.", $"Send 1 to {_options.MaxItems} items."));
        else foreach (var (index, item) in features.Index())
        {
            if (item.Shape.Length != 3 || item.Shape[2] != Description.FeatureWidth)
                faults.Add(new($"features[{index}]", $"The shape is [{string.Join(", ", item.Shape)}].", $"Send [frames, patches, "
                    + $"{Description.FeatureWidth}]."));
            else if (item.Shape[0] > Description.MaxFrames)
                faults.Add(new($"features[{index}]", $"{item.Shape[0]} frames are more than this checkpoint has frame embeddings "
                    + $"for.", $"Send at most {Description.MaxFrames} frames."));
        }

        try
        {
            PromptRules.ThrowIfAny(faults);
        }
        catch (FlamingoException refusal)
        {
            _log.CallRefused(features.Count, refusal.Message);
            throw;
        }
    }

    /// <param name="Features">[frames, patches, width]</param>
    private sealed record Item(TensorData Features, bool WantsAttention)
    {
        public object Kind => (Features.Dtype, Features.Shape[0], Features.Shape[1], WantsAttention);
    }

    private sealed record Resampled(TensorData Latents, TensorData? Attention);
}

public static class ResamplerRegistration
{
    /// <summary>Adds the resampler stage that runs in this process.</summary>
    public static IServiceCollection AddResamplerStage(this IServiceCollection services)
    {
        services.AddModelRuntime();
        services.AddOptionSection<ResamplerOptions>(ResamplerOptions.Section);
        services.AddSingleton(provider => ModelRuntime.WeightsClaim(
            provider, "resampler", "resampler", provider.GetRequiredService<IOptions<ResamplerOptions>>().Value.Device));
        services.AddSingleton(CallsClaim);
        services.AddSingleton<IResampler, ResamplerStage>();
        // The stage is resolved by its interface, because a provider would dispose it twice if it were registered twice.
        services.AddSingleton(provider => new WorkerGroup(
            provider.GetRequiredService<IResampler>() is ResamplerStage stage ? [stage.Worker] : []));
        return services;
    }

    /// <summary>The main memory that the features of waiting calls need.</summary>
    private static MemoryClaim CallsClaim(IServiceProvider provider)
    {
        var vision = provider.GetRequiredService<ModelDirectory>().Config.Vision;
        var dtype = ModelRuntime.Dtype(provider.GetRequiredService<IOptions<ModelOptions>>().Value).ToTensorDtype();
        var side = vision.ImageSize / vision.PatchSize;
        var bytes = (long)((side * side) + (vision.ClassTokenInFeatures ? 1 : 0)) * vision.Width * TensorData.ElementSize(dtype);
        var frames = provider.GetRequiredService<IOptions<ResamplerOptions>>().Value.MaxQueuedFrames;
        return new MemoryClaim("resampler", [new("features in the stage", frames * bytes, "lower Resampler:MaxQueuedFrames")]);
    }
}
