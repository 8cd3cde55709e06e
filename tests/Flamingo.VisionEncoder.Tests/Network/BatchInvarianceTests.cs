using Flamingo.Checkpoints;
using Flamingo.Modeling.Weights;
using Flamingo.VisionEncoder.Network;
using static TorchSharp.torch;

namespace Flamingo.VisionEncoder.Tests.Network;

/// <summary>
/// Tests that the features and the pooled embedding of a picture depend on its own pixels only, bit for bit, for sizes that do not fill
/// vectors and tiles.
/// </summary>
public sealed class BatchInvarianceTests(Models models)
{
    /// <summary>
    /// The first geometry has the 257 rows of CLIP ViT-L, the second has too few rows for MKL's larger tiles, and the third has widths that
    /// fill no vector and a picture whose side is not a multiple of the patch's.
    /// </summary>
    private static readonly VisionConfig[] Geometries =
    [
        Config(imageSize: 224, patch: 14, width: 96, heads: 3, feedForward: 400, "quick_gelu", classToken: true),
        Config(imageSize: 8, patch: 4, width: 32, heads: 2, feedForward: 72, "gelu", classToken: false),
        Config(imageSize: 35, patch: 8, width: 40, heads: 5, feedForward: 100, "gelu", classToken: false),
    ];

    public static TheoryData<int, ScalarType, WeightStorage> Cases =>
        [.. from geometry in Enumerable.Range(0, Geometries.Length)
            from dtype in new[] { ScalarType.Float32, ScalarType.BFloat16 }
            from storage in Enum.GetValues<WeightStorage>()
            select (geometry, dtype, storage)];

    [Theory(Timeout = 240_000), MemberData(nameof(Cases))]
    public Task Alone_and_in_batches_of_up_to_nine(int geometry, ScalarType dtype, WeightStorage storage) => models.Thread.RunAsync(() =>
    {
        var (config, path) = (Geometries[geometry], Path.Combine(models.NewFolder(), "vision.safetensors"));
        RandomTower.Write(path, config, seed: geometry);
        using var file = SafetensorsFile.Open(path);
        var weights = new WeightsReader(file, CPU, dtype, storage);
        using var network = new VisionTransformer(config, weights);
        weights.Finish();
        Assert.Equal(WeightsReader.BytesOf(file, dtype, storage), weights.HeldBytes);
        var random = new Random(7);
        var values = Enumerable.Range(0, 9 * 3 * config.ImageSize * config.ImageSize)
            .Select(_ => (float)((random.NextDouble() - 0.5) * 4)).ToArray();
        var pixels = tensor(values).view(9, 3, config.ImageSize, config.ImageSize).to(dtype);
        var alone = Enumerable.Range(0, 9).Select(picture => network.Forward(pixels.slice(0, picture, picture + 1, 1))).ToArray();
        Assert.True(alone[0].Features.isfinite().all().item<bool>() && !Same(alone[0].Features, alone[1].Features));
        for (var batch = 1; batch <= 9; batch++)
        {
            var (features, pooled) = network.Forward(pixels.slice(0, 9 - batch, 9, 1));
            for (var row = 0; row < batch; row++)
            {
                Assert.True(Same(alone[9 - batch + row].Features[0], features[row]), $"features {row} of {batch}");
                Assert.True(Same(alone[9 - batch + row].Pooled![0], pooled![row]), $"pooled {row} of {batch}");
            }
        }

        return true;
    }, TestContext.Current.CancellationToken);

    private static bool Same(Tensor one, Tensor other) => one.contiguous().bytes.SequenceEqual(other.contiguous().bytes);

    private static VisionConfig Config(int imageSize, int patch, int width, int heads, int feedForward, string activation,
        bool classToken) => new()
    {
        ImageSize = imageSize,
        PatchSize = patch,
        Width = width,
        Layers = 3,
        Heads = heads,
        FeedForwardWidth = feedForward,
        PooledWidth = 24,
        Activation = activation,
        ClassTokenInFeatures = classToken,
        Preprocessing = new() { Resize = "square", Alpha = "drop", Mean = [0, 0, 0], Std = [1, 1, 1] },
    };
}
