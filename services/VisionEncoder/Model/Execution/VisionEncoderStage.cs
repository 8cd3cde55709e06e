using Flamingo.Checkpoints;
using Flamingo.Modeling;
using Flamingo.Stages;
using Flamingo.VisionEncoder.Decoding;
using Flamingo.VisionEncoder.Network;
using Flamingo.VisionEncoder.Preprocessing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using static TorchSharp.torch;

namespace Flamingo.VisionEncoder.Execution;

/// <summary>Decodes on the caller's thread, computes on the inference thread, a bounded batch at a time.</summary>
public sealed class VisionEncoderStage : IVisionEncoder, IDisposable
{
    private readonly InferenceThread _thread;
    private readonly VisionEncoderOptions _options;
    private readonly PictureGate _gate;
    private readonly PicturePreprocessor _preprocessor;
    private readonly VisionTransformer _network;
    private readonly Device _device;
    private readonly ScalarType _dtype;

    /// <exception cref="CheckpointException">The weights are missing, damaged or do not fit.</exception>
    public VisionEncoderStage(ModelDirectory model, InferenceThread thread, IPictureDecoder decoder, IOptions<VisionEncoderOptions> options, IOptions<ModelOptions> modelOptions)
    {
        var config = model.Config.Vision;
        (_thread, _options) = (thread, options.Value);
        _gate = new PictureGate(decoder, _options);
        _preprocessor = new PicturePreprocessor(config);
        _device = ModelRuntime.Device(modelOptions.Value);
        using var file = model.OpenWeights("vision");
        _dtype = ModelRuntime.Dtype(modelOptions.Value);
        var weights = new WeightsReader(file, _device, _dtype);
        _network = new VisionTransformer(config, weights);
        weights.Finish();
        var side = config.ImageSize / config.PatchSize;
        Description = new VisionEncoderDescription(
            model.Config.ModelId, ModelRuntime.ComputedDigest(model.Config.Weights["vision"].LatentDigest, _dtype), PicturePreprocessor.Version, config.ImageSize,
            (side * side) + (config.ClassTokenInFeatures ? 1 : 0), config.Width, config.PooledWidth, _dtype.ToTensorDtype(),
            _options.MaxPixels, _options.MaxPictureBytes, _options.MaxPictures);
    }

    public VisionEncoderDescription Description { get; }

    public Task<VisionEncoderDescription> DescribeAsync(CancellationToken cancellation) => Task.FromResult(Description);

    public Task<VisionEncoderStatistics> GetStatisticsAsync(CancellationToken cancellation) => Task.FromResult(new VisionEncoderStatistics(0, 0, 0));

    public async Task<VisionEncoding> EncodeAsync(VisionEncodeRequest request, CancellationToken cancellation)
    {
        var files = request.Pictures.Select(picture => picture.Files[0]).ToList();
        _gate.Check(files);
        if (request.IncludePooled && Description.PooledWidth == 0)
            throw StageException.Invalid("include_pooled", "This checkpoint has no pooled projection.", "Ask without include_pooled.");

        var encoded = new List<PictureFeatures>(request.Pictures.Count);
        var faults = new List<FieldFault>();
        foreach (var (turn, batch) in files.Chunk(_options.BatchSize).Index())
        {
            var decoded = await Task.Run(() => _gate.Decode(batch, turn * _options.BatchSize, faults), cancellation);
            // after a fault the rest is decoded only to name every bad picture of the call
            if (faults.Count == 0) encoded.AddRange(await _thread.RunAsync(() => Encode(decoded, request.IncludePooled), cancellation));
        }

        PromptRules.ThrowIfAny(faults);
        return new VisionEncoding(Description.WeightsDigest, encoded);
    }

    public void Dispose() => _network.Dispose();

    private List<PictureFeatures> Encode(IReadOnlyList<DecodedPicture> pictures, bool includePooled)
    {
        var levels = stack(pictures.Select(_preprocessor.Resize)).to(_device);            // [batch, 3, size, size]
        var (features, pooled) = _network.Forward(_preprocessor.Normalize(levels).to(_dtype));
        return [.. Enumerable.Range(0, pictures.Count).Select(index => new PictureFeatures(
            features[index].unsqueeze(0).ToData(Description.Dtype),                        // [1, patches, width]
            includePooled ? pooled![index].ToData(TensorDtype.Float32) : null))];
    }
}

public static class VisionEncoderRegistration
{
    /// <summary>The vision encoder in this process.</summary>
    public static IServiceCollection AddVisionEncoderStage(this IServiceCollection services)
    {
        services.AddModelRuntime();
        services.AddOptions<VisionEncoderOptions>().BindConfiguration(VisionEncoderOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.TryAddSingleton<IPictureDecoder, PictureDecoder>();
        services.AddSingleton<IVisionEncoder, VisionEncoderStage>();
        return services;
    }
}
