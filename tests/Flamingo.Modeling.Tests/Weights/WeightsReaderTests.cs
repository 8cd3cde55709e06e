using System.Runtime.InteropServices;
using Flamingo.Checkpoints;
using Flamingo.Import;
using Flamingo.Import.Sources;
using Flamingo.Modeling.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Tests.Weights;

public sealed class WeightsReaderTests : IDisposable
{
    private const int Outputs = 300, Inputs = 400;

    private readonly string _path = Path.Combine(Directory.CreateTempSubdirectory("flamingo-weights-").FullName, "weights.safetensors");

    public void Dispose() => Directory.Delete(Path.GetDirectoryName(_path)!, recursive: true);

    [Theory]
    [InlineData("F32")]
    [InlineData("BF16")]
    [InlineData("F16")]
    public void Every_file_dtype_is_read_as_it_is_stored_and_outlives_the_file(string stored)
    {
        using var scope = NewDisposeScope();
        var values = Write(stored);
        foreach (var dtype in new[] { ScalarType.Float32, ScalarType.BFloat16 })
        {
            var file = SafetensorsFile.Open(_path);
            var reader = new WeightsReader(file, CPU, dtype);
            var (matrix, bias) = (reader.Take("x.weight", Outputs, Inputs), reader.Take("x.bias", Outputs));
            Assert.Equal(WeightsReader.BytesOf(file, dtype, WeightStorage.Native), reader.HeldBytes);
            reader.Finish();
            file.Dispose();
            Assert.Equal((dtype, dtype), (matrix.dtype, bias.dtype));
            Assert.Equal(dtype == Type(stored), matrix.storage_offset() > 0);       // a view of the mapping
            Assert.Equal(0, bias.storage_offset());                                 // a small weight is copied
            var expected = Rounded(values, stored).to(dtype).to(ScalarType.Float32);
            Assert.Equal(expected.data<float>().ToArray(), matrix.flatten().to(ScalarType.Float32).data<float>().ToArray());
            matrix.Dispose();
            bias.Dispose();
        }
    }

    [Fact]
    public void Int8_holds_what_was_announced_and_is_the_same_at_every_start()
    {
        using var scope = NewDisposeScope();
        Write("BF16");
        float[] Expanded()
        {
            using var file = SafetensorsFile.Open(_path);
            var reader = new WeightsReader(file, CPU, ScalarType.BFloat16, WeightStorage.Int8);
            using var matrix = reader.TakeMatrix("x.weight", Outputs, Inputs);
            using var bias = reader.Take("x.bias", Outputs);
            reader.Finish();
            Assert.Equal(ScalarType.BFloat16, bias.dtype);
            Assert.Equal((Outputs * (Inputs + 4)) + (Outputs * 2), reader.HeldBytes);
            Assert.Equal(WeightsReader.BytesOf(file, ScalarType.BFloat16, WeightStorage.Int8), reader.HeldBytes);
            return matrix.Expand().flatten().data<float>().ToArray();
        }

        Assert.Equal(Expanded(), Expanded());
    }

    [Fact]
    public void What_does_not_fit_its_configuration_is_one_report_in_int8_too()
    {
        Write("F32");
        using var file = SafetensorsFile.Open(_path);
        var reader = new WeightsReader(file, CPU, ScalarType.Float32, WeightStorage.Int8);
        reader.TakeMatrix("x.weight", Inputs, Outputs).Dispose();
        reader.TakeMatrix("y.weight", 3, 4).Dispose();
        var refused = Assert.Throws<CheckpointException>(reader.Finish);
        foreach (var fault in new[] { "misshapen: x.weight is [300, 400]", "missing: y.weight [3, 4]", "unexpected: x.bias" })
            Assert.Contains(fault, refused.Message, StringComparison.Ordinal);
    }

    private float[] Write(string dtype)
    {
        var random = new Random(3);
        var values = Enumerable.Range(0, Outputs * Inputs).Select(_ => (float)(random.NextDouble() - 0.5)).ToArray();
        SourceTensor Source(string name, float[] content, params long[] shape) =>
            new(name, "F32", shape, () => MemoryMarshal.AsBytes<float>(content).ToArray());
        var tensors = new[]
        {
            Source("x.weight", values, Outputs, Inputs), Source("x.bias", values[..Outputs], Outputs)
        }.ToDictionary(item => item.Name);
        SafetensorsWriter.Write(_path, tensors, dtype, (_, _) => { }, [], CancellationToken.None);
        return values;
    }

    private static Tensor Rounded(float[] values, string dtype) => tensor(values).to(Type(dtype));

    private static ScalarType Type(string dtype) =>
        dtype switch { "F16" => ScalarType.Float16, "BF16" => ScalarType.BFloat16, _ => ScalarType.Float32 };
}
