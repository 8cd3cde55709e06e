using Flamingo.Abstractions;
using Google.Protobuf.WellKnownTypes;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Wire;

/// <summary>Converts the descriptions of the stages and of the whole model.</summary>
public static class DescriptionWire
{
    public static V1.VisionEncoderDescription ToMessage(this VisionEncoderDescription record) => new()
    {
        ModelId = record.ModelId, WeightsDigest = record.WeightsDigest, PreprocessingVersion = record.PreprocessingVersion,
        ImageSize = record.ImageSize, Patches = record.Patches, Width = record.Width, PooledWidth = record.PooledWidth,
        Dtype = (V1.Dtype)record.Dtype, MaxPixels = record.MaxPixels, MaxPictureBytes = record.MaxPictureBytes,
        MaxPictures = record.MaxPictures,
        MaxFrames = record.MaxFrames, Resize = record.Resize, Alpha = record.Alpha, Orientation = record.Orientation,
    };

    public static VisionEncoderDescription ToRecord(this V1.VisionEncoderDescription message) => new(
        message.ModelId, message.WeightsDigest, message.PreprocessingVersion, message.ImageSize, message.Patches, message.Width,
        message.PooledWidth,
        (TensorDtype)message.Dtype, message.MaxPixels, message.MaxPictureBytes, message.MaxPictures, Math.Max(1, message.MaxFrames))
    {
        Resize = message.Resize, Alpha = message.Alpha, Orientation = message.Orientation,
    };

    public static V1.ResamplerDescription ToMessage(this ResamplerDescription record) => new()
    {
        ModelId = record.ModelId, WeightsDigest = record.WeightsDigest, FeatureWidth = record.FeatureWidth, Latents = record.Latents,
        Width = record.Width,
        MaxFrames = record.MaxFrames, LatentDtype = (V1.Dtype)record.LatentDtype, MaxItems = record.MaxItems,
    };

    public static ResamplerDescription ToRecord(this V1.ResamplerDescription message) => new(
        message.ModelId, message.WeightsDigest, message.FeatureWidth, message.Latents, message.Width, message.MaxFrames,
        (TensorDtype)message.LatentDtype, message.MaxItems);

    public static V1.LanguageModelDescription ToMessage(this LanguageModelDescription record)
    {
        var message = new V1.LanguageModelDescription
        {
            ModelId = record.ModelId, WeightsDigest = record.WeightsDigest, VocabularySize = record.VocabularySize,
            ContextLength = record.ContextLength, Latents = record.Latents, LatentWidth = record.LatentWidth,
            ImageToken = record.ImageToken, EndOfChunkToken = record.EndOfChunkToken, MaxCandidates = record.MaxCandidates,
            CrossAttentionLayers = record.CrossAttentionLayers, CrossAttentionHeads = record.CrossAttentionHeads,
            MaxSamples = record.MaxSamples, MaxPin = Duration.FromTimeSpan(record.MaxPin),
            Prompts = record.Prompts.ToMessage(),
        };
        message.PictureMarkers.AddRange(record.PictureMarkers);
        message.SpecialTokens.AddRange(record.SpecialTokens);
        return message;
    }

    public static LanguageModelDescription ToRecord(this V1.LanguageModelDescription message) => new(
        message.ModelId, message.WeightsDigest, message.VocabularySize, message.ContextLength, message.Latents, message.LatentWidth,
        message.ImageToken, [.. message.PictureMarkers], message.EndOfChunkToken, message.MaxCandidates)
    {
        CrossAttentionLayers = message.CrossAttentionLayers, CrossAttentionHeads = message.CrossAttentionHeads,
        MaxSamples = message.MaxSamples, MaxPin = message.MaxPin.ToRecord("max_pin") ?? TimeSpan.Zero,
        SpecialTokens = [.. message.SpecialTokens], Prompts = message.Prompts.ToRecord(),
    };

    public static V1.Model ToMessage(this FlamingoModel record) => new()
    {
        Vision = record.Vision.ToMessage(), Resampler = record.Resampler.ToMessage(), Language = record.Language.ToMessage(),
    };

    public static FlamingoModel ToRecord(this V1.Model message) =>
        new(message.Vision.ToRecord(), message.Resampler.ToRecord(), message.Language.ToRecord());
}
