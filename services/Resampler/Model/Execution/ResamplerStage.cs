using System.ComponentModel.DataAnnotations;
using Flamingo.Checkpoints;
using Flamingo.Modeling;
using Flamingo.Resampler.Network;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using static TorchSharp.torch;

namespace Flamingo.Resampler.Execution;

/// <summary>Limits of the stage; section <c>Resampler</c>.</summary>
public sealed class ResamplerOptions
{
    public const string Section = "Resampler";

    /// <summary>Most pictures in one call.</summary>
    [Range(1, 4096)]
    public int MaxItems { get; set; } = 64;

    /// <summary>Pictures in one forward pass; more are computed in turns, so that memory stays bounded.</summary>
    [Range(1, 256)]
    public int BatchSize { get; set; } = 16;
}

/// <summary>Features of equal frame count ride in one batch; latents leave rounded to the latent dtype, so that a miss and a hit give the same answer.</summary>
public sealed class ResamplerStage : IResampler, IDisposable
{
    private readonly InferenceThread _thread;
    private readonly ResamplerOptions _options;
    private readonly PerceiverResampler _network;
    private readonly Device _device;
    private readonly ScalarType _dtype;

    /// <exception cref="CheckpointException">The weights are missing, damaged or do not fit.</exception>
    public ResamplerStage(ModelDirectory model, InferenceThread thread, IOptions<ResamplerOptions> options, IOptions<ModelOptions> modelOptions)
    {
        var config = model.Config.Resampler;
        (_thread, _options) = (thread, options.Value);
        _device = ModelRuntime.Device(modelOptions.Value);
        using var file = model.OpenWeights("resampler");
        _dtype = ModelRuntime.Dtype(modelOptions.Value);
        var weights = new WeightsReader(file, _device, _dtype);
        _network = new PerceiverResampler(config, weights);
        weights.Finish();
        Description = new ResamplerDescription(
            model.Config.ModelId, ModelRuntime.ComputedDigest(model.Config.Weights["resampler"].LatentDigest, _dtype), config.Width, config.Latents, config.Width,
            Math.Max(1, config.FrameEmbeddings), _dtype == ScalarType.Float32 ? StageTensors.ParseDtype(config.LatentDtype) : _dtype.ToTensorDtype(), _options.MaxItems);
    }

    public ResamplerDescription Description { get; }

    public Task<ResamplerDescription> DescribeAsync(CancellationToken cancellation) => Task.FromResult(Description);

    public async Task<Resampling> ResampleAsync(ResampleRequest request, CancellationToken cancellation)
    {
        var features = request.Features;
        Check(features);
        var latents = new TensorData[features.Count];
        var attention = new TensorData[request.IncludeAttention ? features.Count : 0];
        foreach (var alike in features.Index().GroupBy(item => (item.Item.Shape[0], item.Item.Shape[1])))
        {
            foreach (var batch in alike.Chunk(_options.BatchSize))
            {
                var results = await _thread.RunAsync(() => Resample([.. batch.Select(item => item.Item)], request.IncludeAttention), cancellation);
                foreach (var (item, result) in batch.Zip(results))
                {
                    latents[item.Index] = result.Latents;
                    if (result.Attention is { } read) attention[item.Index] = read;
                }
            }
        }

        return new Resampling(Description.WeightsDigest, latents, attention);
    }

    public void Dispose() => _network.Dispose();

    private List<(TensorData Latents, TensorData? Attention)> Resample(IReadOnlyList<TensorData> features, bool includeAttention)
    {
        var batch = stack(features.Select(item => item.ToTensor(_device))).to(_dtype).unsqueeze(1); // [batch, 1, frames, patches, width]
        var (latents, attention) = _network.Forward(batch, includeAttention);                 // [batch, 1, latents, width], [batch, 1, latents, frames × patches]
        return [.. Enumerable.Range(0, features.Count).Select(index => (latents[index, 0].ToData(Description.LatentDtype), attention?[index, 0].ToData(TensorDtype.Float32)))];
    }

    private void Check(IReadOnlyList<TensorData> features)
    {
        var faults = new List<FieldFault>();
        if (features.Count == 0 || features.Count > _options.MaxItems)
            faults.Add(new("features", $"{features.Count} items in one call.", $"Send 1 to {_options.MaxItems}."));
        foreach (var (index, item) in features.Index())
        {
            if (item.Shape.Length != 3 || item.Shape[2] != Description.FeatureWidth)
                faults.Add(new($"features[{index}]", $"The shape is [{string.Join(", ", item.Shape)}].", $"Send [frames, patches, {Description.FeatureWidth}]."));
            else if (item.Shape[0] > Description.MaxFrames)
                faults.Add(new($"features[{index}]", $"{item.Shape[0]} frames are more than this checkpoint has frame embeddings for.", $"Send at most {Description.MaxFrames}."));
        }

        PromptRules.ThrowIfAny(faults);
    }
}

public static class ResamplerRegistration
{
    /// <summary>The resampler in this process.</summary>
    public static IServiceCollection AddResamplerStage(this IServiceCollection services)
    {
        services.AddModelRuntime();
        services.AddOptions<ResamplerOptions>().BindConfiguration(ResamplerOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton<IResampler, ResamplerStage>();
        return services;
    }
}
