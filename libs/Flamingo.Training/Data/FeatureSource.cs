using System.Security.Cryptography;
using Flamingo.Checkpoints;
using Flamingo.Modeling.Tensors;
using Flamingo.Modeling.Weights;
using Flamingo.VisionEncoder.Decoding;
using Flamingo.VisionEncoder.Execution;
using Flamingo.VisionEncoder.Network;
using Flamingo.VisionEncoder.Preprocessing;
using static TorchSharp.torch;

namespace Flamingo.Training.Data;

/// <summary>Where features of pictures are kept, and how many are computed at once.</summary>
public sealed record FeatureOptions
{
    /// <summary>The least that a run keeps of features in memory.</summary>
    public const long LeastMemoryBytes = 64L << 20;

    /// <summary>Most bytes of features in memory.</summary>
    public long MemoryBytes { get; init; } = 2L << 30;

    /// <summary>Most bytes of pictures that are decoded and wait for the encoder.</summary>
    public long DecodedBytes { get; init; } = 256L << 20;

    /// <summary>Folder in which features are kept between runs; null keeps none.</summary>
    public string? Folder { get; init; }

    /// <summary>Most pictures in one forward pass.</summary>
    public int BatchSize { get; init; } = 32;
}

/// <summary>What the source did since it was created.</summary>
/// <param name="Computed">Pictures that the encoder computed.</param>
/// <param name="FromMemory">Pictures whose features were in memory.</param>
/// <param name="FromFolder">Pictures whose features were in the folder.</param>
public sealed record FeatureCounts(long Computed, long FromMemory, long FromFolder);

/// <summary>
/// Features of pictures by the frozen vision encoder: the decoding, preprocessing and network of serving, so the features are bit for bit
/// those that serving computes. They are kept in memory and, if wanted, in a folder, by the picture's SHA-256, its flip, the encoder and
/// the preprocessing. Thread-safe; one call computes at a time.
/// </summary>
public sealed class FeatureSource : IDisposable
{
    private readonly VisionConfig _config;
    private readonly ScalarType _dtype;
    private readonly FeatureOptions _options;
    private readonly IPictureDecoder _decoder = IPictureDecoder.Compiled;
    private readonly PictureGate _gate;
    private readonly PicturePreprocessor _preprocessor;
    private readonly VisionTransformer _network;
    private readonly FeatureFolder? _folder;
    private readonly RecentBytes<string> _features, _levels;
    private readonly HashSet<string> _undecodable = new(StringComparer.Ordinal);
    private readonly Lock _lock = new();
    private readonly int _patches, _bytes;
    private long _computed, _fromMemory, _fromFolder;

    /// <param name="model">The model with the vision encoder.</param>
    /// <param name="dtype">Dtype of the encoder and of the features: float32 or bfloat16.</param>
    /// <exception cref="CheckpointException">The weights are missing, damaged or do not fit the configuration.</exception>
    public FeatureSource(ModelDirectory model, ScalarType dtype, FeatureOptions options)
    {
        (_config, _dtype, _options) = (model.Config.Vision, dtype, options);
        _gate = new PictureGate(_decoder, new VisionEncoderOptions());
        _preprocessor = new PicturePreprocessor(_config.ImageSize, _config.Preprocessing);
        using var file = model.OpenWeights("vision");
        var weights = new WeightsReader(file, CPU, dtype);
        _network = new VisionTransformer(_config, weights);
        weights.Finish();
        var side = _config.ImageSize / _config.PatchSize;
        _patches = (side * side) + (_config.ClassTokenInFeatures ? 1 : 0);
        _bytes = _patches * _config.Width * dtype.ElementBytes();
        // The parts of the latent key that serving computes for the same features.
        var encoder = ComputedDigest.Of(model.Config.Weights["vision"].LatentDigest,
            _config with { Preprocessing = null!, PooledWidth = 0 }, dtype, WeightStorage.Native);
        Digest = ComputedDigest.Hash($"{encoder} {_preprocessor.Version(_decoder.Name)}");
        if (options.Folder is not null) _folder = new FeatureFolder(Path.Combine(options.Folder, Digest[..32]), _bytes);
        (_features, _levels) = (new RecentBytes<string>(options.MemoryBytes), new RecentBytes<string>(options.DecodedBytes));
    }

    /// <summary>Identifies the encoder, its dtype and the preprocessing.</summary>
    public string Digest { get; }

    public FeatureCounts Counts
    {
        get
        {
            lock (_lock) return new FeatureCounts(_computed, _fromMemory, _fromFolder);
        }
    }

    /// <summary>Why the folder takes no more features, such as a full disk; null while all is well.</summary>
    public string? FolderFault => _folder?.Fault;

    /// <summary>
    /// Decodes the pictures of a sequence whose features are not known yet. A picture that cannot be decoded is reported as the fault of
    /// its sample.
    /// </summary>
    /// <returns>Whether <see cref="Read"/> may be called for all pictures of the sequence.</returns>
    /// <exception cref="CheckpointException">Too many samples are broken.</exception>
    public bool CanRead(TrainingSequence sequence, DataReport report)
    {
        foreach (var (index, picture) in sequence.Pictures.Index())
        {
            string? fault;
            lock (_lock) fault = Prepare(picture);
            if (fault is null) continue;
            report.Break(new BrokenSample(BrokenKind.BadPicture, sequence.Origin, $"picture {index + 1}: {fault}"), wasRead: true);
            return false;
        }

        return true;
    }

    /// <summary>Returns the features of pictures. The caller disposes them.</summary>
    /// <param name="pictures">At least one; each for which <see cref="CanRead"/> said yes.</param>
    /// <returns>[pictures, patches, width], in the dtype of the source.</returns>
    /// <exception cref="InvalidDataException">A picture cannot be decoded.</exception>
    public Tensor Read(IReadOnlyList<PictureFile> pictures)
    {
        using var frozen = no_grad();
        lock (_lock)
        {
            var (names, held) = (pictures.Select(Name).ToArray(), new Dictionary<string, byte[]>(StringComparer.Ordinal));
            var missing = new List<(string Name, PictureFile Picture)>();
            foreach (var (index, name) in names.Index())
            {
                if (held.ContainsKey(name) || missing.Any(one => one.Name == name)) continue;
                if (Find(name) is { } known) held[name] = known;
                else missing.Add((name, pictures[index]));
            }

            foreach (var batch in missing.Chunk(_options.BatchSize))
                foreach (var (one, features) in batch.Zip(Compute(batch)))
                    Keep(one.Name, held[one.Name] = features);
            var result = empty([pictures.Count, _patches, _config.Width], _dtype, CPU).DetachFromDisposeScope();
            foreach (var (index, name) in names.Index()) held[name].CopyTo(result.bytes.Slice(index * _bytes, _bytes));
            return result;
        }
    }

    public void Dispose() => _network.Dispose();

    private static string Name(PictureFile picture)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(picture.Bytes.Span, digest);
        return Convert.ToHexStringLower(digest) + (picture.Flipped ? "-flipped" : "");
    }

    // Puts the levels of a picture where Read finds them, unless it needs none. Returns why it cannot.
    private string? Prepare(PictureFile picture)
    {
        var name = Name(picture);
        const string Damaged = "it is truncated or damaged, or no picture.";
        if (_undecodable.Contains(name)) return Damaged;
        if (_features.Find(name) is not null || _levels.Find(name) is not null || FromFolder(name) is not null) return null;
        if (_gate.Fault(picture.Bytes) is var (problem, _))
        {
            _undecodable.Add(name);
            return problem;
        }

        if (Levels(picture) is not { } levels)
        {
            _undecodable.Add(name);
            return Damaged;
        }

        _levels.Add(name, levels);
        return null;
    }

    private byte[]? Find(string name)
    {
        if (_features.Find(name) is { } held)
        {
            _fromMemory++;
            return held;
        }

        return FromFolder(name);
    }

    private byte[]? FromFolder(string name)
    {
        if (_folder?.Read(name) is not { } kept) return null;
        _fromFolder++;
        _features.Add(name, kept);
        return kept;
    }

    private void Keep(string name, byte[] features)
    {
        _features.Add(name, features);
        _levels.Remove(name);
        _folder?.Write(name, features);
    }

    private byte[][] Compute((string Name, PictureFile Picture)[] pictures)
    {
        using var scope = NewDisposeScope();
        var size = _config.ImageSize;
        var levels = empty([pictures.Length, 3, size, size], ScalarType.Byte, CPU);
        foreach (var (index, (name, picture)) in pictures.Index())
        {
            var of = _levels.Find(name) ?? (_gate.Fault(picture.Bytes) is null ? Levels(picture) : null)
                ?? throw new InvalidDataException("A picture cannot be decoded. Ask CanRead first.");
            of.CopyTo(levels.bytes.Slice(index * of.Length, of.Length));
        }

        var features = _network.Forward(_preprocessor.Normalize(levels).to(_dtype)).Features.contiguous();
        _computed += pictures.Length;
        return [.. Enumerable.Range(0, pictures.Length).Select(index => features.bytes.Slice(index * _bytes, _bytes).ToArray())];
    }

    private byte[]? Levels(PictureFile picture)
    {
        if (_decoder.Decode(picture.Bytes) is not { } decoded) return null;
        var levels = _preprocessor.Levels(decoded);
        if (picture.Flipped)
            for (var row = 0; row < levels.Length; row += _config.ImageSize) levels.AsSpan(row, _config.ImageSize).Reverse();
        return levels;
    }
}
