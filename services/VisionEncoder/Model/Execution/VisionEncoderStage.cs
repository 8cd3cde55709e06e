using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Configuration;
using Flamingo.Modeling.Batching;
using Flamingo.Modeling.Devices;
using Flamingo.Modeling.Runtime;
using Flamingo.Modeling.Tensors;
using Flamingo.Modeling.Weights;
using Flamingo.Stages;
using Flamingo.VisionEncoder.Decoding;
using Flamingo.VisionEncoder.Network;
using Flamingo.VisionEncoder.Preprocessing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using static TorchSharp.torch;

namespace Flamingo.VisionEncoder.Execution;

/// <summary>
/// The vision encoder as a stage. It decodes pictures on threads of its own and computes the frames of all calls in bounded batches
/// on the inference thread. On the CPU the features of a picture are bit for bit the same whatever else is in the batch.
/// </summary>
public sealed class VisionEncoderStage : IVisionEncoder, IDisposable
{
    /// <summary>Most bytes of features in one answer: 1 GiB, less 16 MiB for the other fields of the gRPC message.</summary>
    private const long MaxFeatureBytes = (1L << 30) - (16 << 20);

    /// <summary>Bytes that decoding and resizing take for every pixel, garbage included.</summary>
    private const int BytesPerPixel = 20;

    private readonly PictureGate _gate;
    private readonly PictureReader _reader;
    private readonly PicturePreprocessor _preprocessor;
    private readonly VisionTransformer _network;
    private readonly BatchMetrics _metrics = new("Flamingo.VisionEncoder", "flamingo.vision_encoder");
    private readonly BatchQueue<Frame, PictureFeatures> _queue;
    private readonly QueueBound _bound;
    private readonly DeviceTransfer _transfer;
    private readonly ScalarType _dtype;
    private readonly TimeProvider _time;
    private readonly ILogger _log;

    /// <exception cref="CheckpointException">The weights are missing, damaged or do not fit the configuration.</exception>
    public VisionEncoderStage(
        ModelDirectory model, InferenceThread thread, IPictureDecoder decoder, IOptions<VisionEncoderOptions> options,
        IOptions<ModelOptions> modelOptions, TimeProvider time,
        ILogger<VisionEncoderStage>? log = null)
    {
        var (config, limits) = (model.Config.Vision, options.Value);
        (_time, _log) = (time, log ?? NullLogger<VisionEncoderStage>.Instance);
        _preprocessor = new PicturePreprocessor(config.ImageSize, config.Preprocessing);
        _gate = new PictureGate(decoder, limits);
        _bound = new QueueBound(limits.MaxQueuedFrames, "VisionEncoder:MaxQueuedFrames", time);
        var device = ModelRuntime.Device(modelOptions.Value, limits.Device);
        _transfer = new DeviceTransfer(device);
        using var file = model.OpenWeights("vision");
        _dtype = ModelRuntime.Dtype(modelOptions.Value);
        var storage = ModelRuntime.Storage(modelOptions.Value);
        var weights = new WeightsReader(file, device, _dtype, storage, thread.Team);
        _network = new VisionTransformer(config, weights);
        weights.Finish();
        _queue = new BatchQueue<Frame, PictureFeatures>(
            new BatchBounds(limits.BatchSizeOn(device), limits.BatchWait), _ => null, frames => Compute(frames, thread),
            thread.RunAsync, time, _metrics.Waited, "the vision encoder's batch", "encode");
        _metrics.Watch(() => Math.Max(0, _bound.Items - _queue.Running), () => _queue.Running);
        _reader = new PictureReader(decoder, _preprocessor, limits.MaxDecodes);
        Workers = [.. _reader.Workers, _queue.Worker];
        // The preprocessing has its own version, and the pooled embedding does not affect latents.
        var digest = ComputedDigest.Of(
            model.Config.Weights["vision"].LatentDigest, config with { Preprocessing = null!, PooledWidth = 0 }, _dtype, storage);
        Description = new VisionEncoderDescription(
            model.Config.ModelId, digest, _preprocessor.Version(decoder.Name), config.ImageSize,
            PatchesOf(config), config.Width, config.PooledWidth, _dtype.ToTensorDtype(),
            limits.MaxPixels, limits.MaxPictureBytes, limits.MaxPictures, limits.MaxFrames)
        {
            Resize = config.Preprocessing.Resize, Alpha = config.Preprocessing.Alpha, Orientation = config.Preprocessing.Orientation,
        };
        _log.StageReady("vision encoder", device, digest);
        _log.Limits(limits.MaxPixels, limits.MaxPictureBytes, limits.MaxPictures, limits.MaxDecodes, limits.MaxQueuedFrames);
    }

    public VisionEncoderDescription Description { get; }

    /// <summary>The decoders and the batches.</summary>
    public IReadOnlyList<Worker> Workers { get; }

    /// <summary>Number of frames of all calls that are in the stage.</summary>
    public int QueuedFrames => _bound.Items;

    public Task<VisionEncoderDescription> DescribeAsync(CancellationToken cancellation) => Task.FromResult(Description);

    public Task<VisionEncoderStatistics> GetStatisticsAsync(CancellationToken cancellation) =>
        Task.FromResult(new VisionEncoderStatistics(_metrics.Pictures, _metrics.Frames, _metrics.Batches));

    public async Task<VisionEncoding> EncodeAsync(VisionEncodeRequest request, CancellationToken cancellation)
    {
        try
        {
            return await EncodeAllAsync(request, cancellation);
        }
        catch (FlamingoException refusal)
        {
            _metrics.Refused(refusal);
            if (refusal.Kind == FlamingoErrorKind.InvalidArgument) _log.CallRefused(request.Pictures.Count, refusal.Message);
            throw;
        }
    }

    private async Task<VisionEncoding> EncodeAllAsync(VisionEncodeRequest request, CancellationToken cancellation)
    {
        if (request.IncludePooled && Description.PooledWidth == 0)
            throw FlamingoException.Invalid("include_pooled", "This checkpoint has no pooled projection.", "Ask without include_pooled.");
        var plans = _gate.Check(request.Pictures);
        var (frames, bytes) = (
            plans.Sum(plan => plan.Frames.Count),
            (long)Description.Patches * Description.Width * TensorData.ElementSize(Description.Dtype));
        if (frames * bytes > MaxFeatureBytes)
            throw FlamingoException.Invalid(
                "pictures", $"The features of {frames} frames do not fit into one answer.",
                $"Send at most {MaxFeatureBytes / bytes} frames in one call.");

        using var entry = _bound.Enter(frames);
        var levels = await _reader.ReadAsync(plans, cancellation);
        var items = levels.SelectMany(
            picture => picture.Select((frame, index) => new Frame(frame, request.IncludePooled, index == picture.Count - 1)))
            .ToList();
        var encoded = await _queue.RunAsync(items, cancellation);
        var (pictures, first) = (new List<PictureFeatures>(plans.Count), 0);
        foreach (var picture in levels)
        {
            pictures.Add(Clip([.. encoded.Skip(first).Take(picture.Count)]));
            first += picture.Count;
        }

        return new VisionEncoding(Description.WeightsDigest, pictures);
    }

    public void Dispose()
    {
        _queue.Dispose();
        _network.Dispose();
        _transfer.Dispose();
        _reader.Dispose();
        _metrics.Dispose();
    }

    private static int PatchesOf(VisionConfig config)
    {
        var side = config.ImageSize / config.PatchSize;
        return (side * side) + (config.ClassTokenInFeatures ? 1 : 0);
    }

    /// <summary>The main memory that calls need: for decoding, and for the levels and features of the frames in the stage.</summary>
    internal static MemoryClaim CallsClaim(VisionConfig config, VisionEncoderOptions options, TensorDtype dtype)
    {
        var bytes = (3L * config.ImageSize * config.ImageSize)
            + ((long)PatchesOf(config) * config.Width * TensorData.ElementSize(dtype));
        return new MemoryClaim("vision encoder",
        [
            new("decoding", options.MaxPixels * BytesPerPixel * options.MaxDecodes,
                "lower VisionEncoder:MaxPixels or VisionEncoder:MaxDecodes"),
            new("frames in the stage", options.MaxQueuedFrames * bytes, "lower VisionEncoder:MaxQueuedFrames"),
        ]);
    }

    // Joins the features of single frames to those of one clip; pooled embeddings are averaged.
    private static PictureFeatures Clip(IReadOnlyList<PictureFeatures> frames)
    {
        if (frames.Count == 1) return frames[0];
        var (first, size) = (frames[0].Features, frames[0].Features.Bytes.Length);
        var bytes = new byte[size * frames.Count];
        foreach (var (index, frame) in frames.Index()) frame.Features.Bytes.Span.CopyTo(bytes.AsSpan(index * size));
        var pooled = frames[0].Pooled is null ? null : frames.Select(frame => frame.Pooled!.ToFloats()).ToArray();
        return new PictureFeatures(
            new TensorData(first.Dtype, [frames.Count, .. first.Shape[1..]], bytes),
            pooled is null
                ? null
                : TensorData.FromFloats(
                    Enumerable.Range(0, pooled[0].Length).Select(index => pooled.Average(frame => frame[index])).ToArray(),
                    pooled[0].Length));
    }

    private List<PictureFeatures> Compute(IReadOnlyList<Frame> frames, InferenceThread thread)
    {
        var started = _time.GetTimestamp();
        try
        {
            var encoded = thread.Guarded(() => Encode(frames));
            var pictures = frames.Count(frame => frame.IsLast);
            var duration = _time.GetElapsedTime(started);
            _metrics.Computed(frames.Count, pictures, frames.Count);
            _metrics.Took(duration);
            _log.BatchComputed(frames.Count, duration.TotalMilliseconds, pictures);
            return encoded;
        }
        catch (Exception exception)
        {
            _log.BatchFailed(exception, frames.Count);
            throw;
        }
    }

    private List<PictureFeatures> Encode(IReadOnlyList<Frame> frames)
    {
        var size = Description.ImageSize;
        var levels = empty([frames.Count, 3, size, size], ScalarType.Byte, CPU);
        foreach (var (index, frame) in frames.Index())
            frame.Levels.CopyTo(levels.bytes.Slice(index * frame.Levels.Length, frame.Levels.Length));
        var (features, pooled) = _network.Forward(_preprocessor.Normalize(_transfer.Upload(levels)).to(_dtype));
        var ofFrames = features.ToItems(Description.Dtype, _transfer, leading: 1);             // each [1, patches, width]
        var pooledOfFrames = frames.Any(frame => frame.WantsPooled) ? pooled!.ToItems(TensorDtype.Float32, _transfer) : null;
        return [
            .. frames.Select((frame, index) => new PictureFeatures(ofFrames[index], frame.WantsPooled ? pooledOfFrames![index] : null))
        ];
    }

    /// <param name="Levels">u8 [3, size, size].</param>
    /// <param name="IsLast">Whether the frame is the last of its picture.</param>
    private sealed record Frame(byte[] Levels, bool WantsPooled, bool IsLast);
}

public static class VisionEncoderRegistration
{
    /// <summary>Adds the vision encoder stage that runs in this process.</summary>
    public static IServiceCollection AddVisionEncoderStage(this IServiceCollection services)
    {
        services.AddModelRuntime();
        services.AddOptionSection<VisionEncoderOptions>(VisionEncoderOptions.Section);
        services.TryAddSingleton(IPictureDecoder.Compiled);
        services.AddSingleton(provider => ModelRuntime.WeightsClaim(
            provider, "vision", "vision encoder", provider.GetRequiredService<IOptions<VisionEncoderOptions>>().Value.Device));
        services.AddSingleton(provider => VisionEncoderStage.CallsClaim(
            provider.GetRequiredService<ModelDirectory>().Config.Vision,
            provider.GetRequiredService<IOptions<VisionEncoderOptions>>().Value,
            ModelRuntime.Dtype(provider.GetRequiredService<IOptions<ModelOptions>>().Value).ToTensorDtype()));
        services.AddSingleton<IVisionEncoder, VisionEncoderStage>();
        // The stage is resolved by its interface, because a provider would dispose it twice if it were registered twice.
        services.AddSingleton(provider => new WorkerGroup(
            provider.GetRequiredService<IVisionEncoder>() is VisionEncoderStage stage ? stage.Workers : []));
        return services;
    }
}
