using Flamingo.Import.Pickles;
using System.Runtime.InteropServices;
using Flamingo.Checkpoints;
using Flamingo.Import.Sources;
using Flamingo.Import.Tests.Pickles;

namespace Flamingo.Import.Tests.Sources;

public sealed class PyTorchFileTests : IDisposable
{
    private static readonly byte[] TwelveFloats = MemoryMarshal.AsBytes<float>([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]).ToArray();
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Offsets_strides_and_shared_storages_are_read_as_torch_means_them()
    {
        var file = _folder["strided.pt"];
        TorchFile.Write(
            file,
            new PickleWriter().Op("}(").Text("whole").Tensor("0", "FloatStorage", 12, 0, [3, 4]).Text("again")
                .Tensor("0", "FloatStorage", 12, 0, [12])
                .Text("transposed").Tensor("0", "FloatStorage", 12, 0, [4, 3], [1, 4]).Text("row").Tensor("0", "FloatStorage", 12, 8, [4])
                .Text("column").Tensor("0", "FloatStorage", 12, 1, [3], [4])
                .Text("spread").Tensor("0", "FloatStorage", 12, 7, [2, 2], [0, 0]).Text("scalar").Tensor("0", "FloatStorage", 12, 11, [])
                .Text("empty").Tensor("0", "FloatStorage", 12, 0, [0, 4]).Op("u").Stop(),
            TwelveFloats);
        using var source = WeightSource.Open(file);
        Assert.Equal(Enumerable.Range(0, 12).Select(value => (float)value), Floats("whole"));
        Assert.Equal(Floats("whole"), Floats("again"));
        Assert.Equal([0f, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11], Floats("transposed"));
        Assert.Equal([8f, 9, 10, 11], Floats("row"));
        Assert.Equal([1f, 5, 9], Floats("column"));
        Assert.Equal([7f, 7, 7, 7], Floats("spread"));
        Assert.Equal([11f], Floats("scalar"));
        Assert.Empty(Floats("empty"));

        float[] Floats(string name) => MemoryMarshal.Cast<byte, float>(source.Tensors[name].Read()).ToArray();
    }

    public static TheoryData<string, long, long[], long[]> OutOfBounds => new()
    {
        { "one row too many", 0, [4, 4], [4, 1] },
        { "an offset beyond", 12, [1], [1] },
        { "a negative offset", -1, [1], [1] },
        { "an offset that overflows when turned into bytes", 1L << 62, [1], [1] },
        { "a stride that overflows", 0, [3], [long.MaxValue] },
        { "a shape that overflows", 0, [1L << 40, 1L << 40], [1, 1] },
        { "a shape whose bytes overflow", 0, [1L << 62], [0] },
        { "more than fits in memory", 0, [1L << 40], [0] },
        { "an expanded view of more than the storage", 0, [13], [0] },
        { "fewer strides than sizes", 0, [2, 2], [1] },
    };

    [Theory]
    [MemberData(nameof(OutOfBounds))]
    public void A_tensor_beyond_its_storage_is_refused_by_name(string what, long offset, long[] shape, long[] stride)
    {
        var file = _folder["hostile.pt"];
        TorchFile.Write(file, new PickleWriter().Op("}").Text("wicked").Tensor("0", "FloatStorage", 12, offset, shape, stride).Op("s")
            .Stop(), TwelveFloats);
        var exception = Record.Exception(() => WeightSource.Open(file).Dispose());
        Assert.True(exception is CheckpointException
            && exception.Message.Contains("wicked", StringComparison.Ordinal), $"{what}: {exception}");
    }

    [Fact]
    public void A_missing_storage_is_refused_by_name()
    {
        var file = _folder["hole.pt"];
        TorchFile.Write(file, new PickleWriter().Op("}").Text("lost").Tensor("../../etc/passwd", "FloatStorage", 12, 0, [12]).Op("s")
            .Stop(), TwelveFloats);
        Assert.Contains("'lost' is missing", Assert.Throws<CheckpointException>(() => WeightSource.Open(file).Dispose()).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_state_dict_that_holds_itself_ends()
    {
        var file = _folder["loop.pt"];
        TorchFile.Write(file, new PickleWriter().Op("}q\u0000").Text("model_state_dict").Op("h\u0000s").Stop());
        using var source = WeightSource.Open(file);
        Assert.Empty(source.Tensors);
    }

    [Fact]
    public void Mutated_files_end_in_tensors_or_in_one_sentence()
    {
        var (whole, mutatedFile) = (_folder["whole.pt"], _folder["mutated.pt"]);
        TorchFile.Write(whole, new PickleWriter().Op("}(").Text("a").Tensor("0", "FloatStorage", 12, 0, [3, 4]).Text("b")
            .Tensor("0", "FloatStorage", 12, 0, [4, 3], [1, 4]).Op("u").Stop(), TwelveFloats);
        var (bytes, random) = (File.ReadAllBytes(whole), new Random(7));
        for (var round = 0; round < 3_000; round++)
        {
            var mutated = bytes.ToArray();
            for (var flips = random.Next(1, 4); flips > 0; flips--) mutated[random.Next(mutated.Length)] ^= (byte)(1 << random.Next(8));
            if (round % 8 == 0) mutated = mutated[..random.Next(mutated.Length)];
            File.WriteAllBytes(mutatedFile, mutated);
            var exception = Record.Exception(() =>
            {
                using var source = WeightSource.Open(mutatedFile);
                foreach (var tensor in source.Tensors.Values) tensor.Read();
            });
            Assert.True(exception is null or CheckpointException, $"round {round}: {exception}");
        }
    }
}
