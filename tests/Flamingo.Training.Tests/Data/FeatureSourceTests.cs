using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Modeling.Runtime;
using Flamingo.Stages;
using Flamingo.Testing;
using Flamingo.Training.Data;
using Flamingo.VisionEncoder.Decoding;
using Flamingo.VisionEncoder.Execution;
using Microsoft.Extensions.Options;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Training.Tests.Data;

/// <summary>Features are those of serving, from wherever they come.</summary>
[Collection(AloneCollection.Name)]
public sealed class FeatureSourceTests(Models models)
{
    private static readonly PictureFile[] Pictures = [.. Directory.GetFiles(RepositoryFiles.Path("tests", "reference", "pictures"))
        .Order(StringComparer.Ordinal).Select(file => new PictureFile(File.ReadAllBytes(file), Flipped: false))];

    [Theory]
    [InlineData("shapes", "float32")]
    [InlineData("shapes", "bfloat16")]
    [InlineData("idefics", "float32")]
    public async Task Features_are_bit_for_bit_those_of_serving(string family, string dtype)
    {
        var model = models.DirectoryOf(family);
        using var thread = new InferenceThread(2);
        using var stage = new VisionEncoderStage(model, thread, IPictureDecoder.Compiled, Options.Create(new VisionEncoderOptions()),
            Options.Create(new ModelOptions { Dtype = dtype }), TimeProvider.System);
        var served = await stage.EncodeAsync(new VisionEncodeRequest([.. Pictures.Select(picture => VisualInput.Still(picture.Bytes))]),
            TestContext.Current.CancellationToken);
        using var source = new FeatureSource(model, dtype == "float32" ? ScalarType.Float32 : ScalarType.BFloat16, new FeatureOptions());
        Assert.Equal(served.Pictures.Select(picture => picture.Features.Bytes.ToArray()), Read(source, Pictures));
    }

    [Fact]
    public void A_hit_equals_a_miss_and_a_batch_of_any_size()
    {
        using var source = Source(new FeatureOptions { BatchSize = 3 });
        PictureFile[] pictures = [.. Pictures, .. Pictures.Select(picture => picture with { Flipped = true }), Pictures[0]];
        var missed = Read(source, pictures);
        Assert.Equal(new FeatureCounts(10, 0, 0), source.Counts);
        Assert.Equal(missed, Read(source, pictures));
        Assert.Equal(new FeatureCounts(10, 10, 0), source.Counts);
        Assert.Equal(missed[0], missed[^1]);
        // Nothing fits into the memory of this source.
        using var small = Source(new FeatureOptions { MemoryBytes = 1, DecodedBytes = 1, BatchSize = 1 });
        Assert.True(small.CanRead(Sequence(pictures), new DataReport(new DataOptions())));
        Assert.Equal(missed, Read(small, pictures));
        Assert.Equal(missed[5], Read(small, [pictures[5]]).Single());
        Assert.Equal(11, small.Counts.Computed);
    }

    [Fact]
    public void A_flipped_picture_has_the_features_of_its_mirror_image()
    {
        // Rows of a BMP without compression can be mirrored by hand: 64 × 64 pixels of 3 bytes after a header of 54.
        var bitmap = Bitmap((x, y) => (byte)((x * 4) + (y % 7)));
        var mirror = Bitmap((x, y) => (byte)(((63 - x) * 4) + (y % 7)));
        using var source = Source(new FeatureOptions());
        var features = Read(source, [new(bitmap, true), new(mirror, false), new(bitmap, false), new(mirror, true)]);
        Assert.Equal(features[1], features[0]);
        Assert.Equal(features[2], features[3]);
        Assert.NotEqual(features[0], features[2]);
    }

    [Fact]
    public void A_folder_keeps_features_between_runs_and_survives_damage()
    {
        var options = new FeatureOptions { Folder = models.NewFolder() };
        List<byte[]> expected;
        using (var first = Source(options)) expected = Read(first, Pictures);
        using (var second = Source(options))
        {
            Assert.True(second.CanRead(Sequence(Pictures), new DataReport(new DataOptions())));
            Assert.Equal(expected, Read(second, Pictures));
            Assert.Equal(new FeatureCounts(0, 5, 5), second.Counts);
        }

        var files = Directory.GetFiles(options.Folder!, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).ToArray();
        Assert.Equal(5, files.Length);
        Assert.All(files, file => Assert.EndsWith(".features", file, StringComparison.Ordinal));
        using (var file = File.OpenWrite(files[0])) file.SetLength(100);
        var changed = File.ReadAllBytes(files[1]);
        changed[5000] ^= 1;
        File.WriteAllBytes(files[1], changed);
        File.WriteAllBytes(files[2], []);
        using (var third = Source(options))
        {
            Assert.Equal(expected, Read(third, Pictures));
            Assert.Equal(new FeatureCounts(3, 0, 2), third.Counts);
        }

        using var repaired = Source(options);
        Assert.Equal(expected, Read(repaired, Pictures));
        Assert.Equal(0, repaired.Counts.Computed);
        // Another dtype has a folder of its own.
        using var other = new FeatureSource(models.DirectoryOf("shapes"), ScalarType.BFloat16, options);
        Read(other, Pictures);
        Assert.Equal(5, other.Counts.Computed);
    }

    [Fact]
    public void A_folder_that_takes_nothing_does_not_stop_the_run()
    {
        var path = Path.Combine(models.NewFolder(), "file");
        File.WriteAllText(path, "");
        using var source = Source(new FeatureOptions { Folder = path });
        Assert.Null(source.FolderFault);
        Assert.Equal(5, Read(source, Pictures).Count);
        Assert.Contains("takes no more features", source.FolderFault, StringComparison.Ordinal);
    }

    [Fact]
    public void Undecodable_pictures_are_the_fault_of_their_sample()
    {
        using var source = Source(new FeatureOptions());
        var report = new DataReport(new DataOptions { BrokenAfter = 1000 });
        var truncated = Pictures[0].Bytes[..(Pictures[0].Bytes.Length / 2)];
        var wide = Bitmap((_, _) => 0);
        BitConverter.TryWriteBytes(wide.AsSpan(18), 100_000_000); // by its header
        foreach (var (index, bytes) in new[] { truncated, (byte[])[1, 2, 3], Array.Empty<byte>(), wide }.Index())
        {
            var sequence = Sequence([Pictures[1], new PictureFile(bytes, false)], $"file: {index}");
            Assert.False(source.CanRead(sequence, report));
            Assert.False(source.CanRead(sequence, report)); // and counts once
        }

        Assert.True(source.CanRead(Sequence(Pictures), report));
        Assert.Equal(4, report.Broken[BrokenKind.BadPicture]);
        Assert.Equal(["file: 0", "file: 1", "file: 2", "file: 3"], report.First.Select(one => one.Origin));
        Assert.StartsWith("picture 2: ", report.First[0].Cause, StringComparison.Ordinal);
        Assert.Throws<InvalidDataException>(() => source.Read([new PictureFile(truncated, false)]));
        var strict = new DataReport(new DataOptions { BrokenAfter = 0, MostBroken = 0 });
        Assert.Throws<CheckpointException>(() => source.CanRead(Sequence([new PictureFile(truncated, false)]), strict));
    }

    [Fact]
    public void Tensors_do_not_outlive_a_read()
    {
        using var source = Source(new FeatureOptions { MemoryBytes = 1 });
        source.Read(Pictures).Dispose();
        var before = Tensor.TotalCount;
        source.Read(Pictures).Dispose();
        Assert.Equal(before, Tensor.TotalCount);
    }

    private static byte[] Bitmap(Func<int, int, byte> level)
    {
        var bytes = new byte[54 + (64 * 64 * 3)];
        (bytes[0], bytes[1], bytes[10], bytes[14], bytes[26], bytes[28]) = ((byte)'B', (byte)'M', 54, 40, 1, 24);
        BitConverter.TryWriteBytes(bytes.AsSpan(2), bytes.Length);
        BitConverter.TryWriteBytes(bytes.AsSpan(18), 64);
        BitConverter.TryWriteBytes(bytes.AsSpan(22), 64);
        for (var pixel = 0; pixel < 64 * 64; pixel++)
            bytes.AsSpan(54 + (pixel * 3), 3).Fill(level(pixel % 64, pixel / 64));
        return bytes;
    }

    private static TrainingSequence Sequence(IReadOnlyList<PictureFile> pictures, string origin = "file") =>
        new([], [], pictures, origin) { Descriptions = new string?[pictures.Count] };

    private static List<byte[]> Read(FeatureSource source, IReadOnlyList<PictureFile> pictures)
    {
        using var features = source.Read(pictures);
        Assert.Equal(pictures.Count, features.shape[0]);
        var size = features.bytes.Length / pictures.Count;
        return [.. Enumerable.Range(0, pictures.Count).Select(index => features.bytes.Slice(index * size, size).ToArray())];
    }

    private FeatureSource Source(FeatureOptions options) => new(models.DirectoryOf("shapes"), ScalarType.Float32, options);
}
