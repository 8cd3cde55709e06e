using System.Buffers.Binary;
using System.Text;

namespace Flamingo.Checkpoints.Tests;

public sealed class SafetensorsFileTests : IDisposable
{
    private readonly string _file = Path.GetTempFileName();

    public void Dispose() => File.Delete(_file);

    [Fact]
    public void Tensors_are_found_where_the_header_says()
    {
        Write("""
            {
              "__metadata__": {"format": "pt"},
              "b": {"dtype": "F16", "shape": [2], "data_offsets": [8, 12]},
              "a": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}
            }
            """, 12);
        using var file = SafetensorsFile.Open(_file);
        Assert.Equal(["a", "b"], file.Entries.Keys.Order());
        Assert.Equal([1L, 2], file.Entries["a"].Shape);
        Assert.Equal([8, 9, 10, 11], file.Read(file.Entries["b"]).ToArray());
    }

    public static TheoryData<string, string> Damaged => new()
    {
        { "beyond the end", """{"a":{"dtype":"F32","shape":[3],"data_offsets":[4,16]}}""" },
        { "another length than the shape", """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,12]}}""" },
        { "negative begin", """{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}""" },
        { "end before begin", """{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""" },
        { "negative shape", """{"a":{"dtype":"F32","shape":[-1,-2],"data_offsets":[0,8]}}""" },
        { "a shape that overflows", """{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}""" },
        { "unknown dtype", """{"a":{"dtype":"F7","shape":[2],"data_offsets":[0,8]}}""" },
        { "two at one place",
            """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""" },
        { "one name twice",
            """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""" },
        { "one offset", """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}""" },
        { "no dtype", """{"a":{"shape":[1],"data_offsets":[0,4]}}""" },
        { "a fraction as shape", """{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}""" },
        { "a list", "[1, 2]" },
        { "no JSON", "{\"a\": " },
    };

    [Theory]
    [MemberData(nameof(Damaged))]
    public void A_damaged_header_is_one_sentence(string what, string header)
    {
        Write(header, 12);
        var exception = Record.Exception(() => SafetensorsFile.Open(_file).Dispose());
        Assert.True(exception is CheckpointException
            && exception.Message.Contains(_file, StringComparison.Ordinal), $"{what}: {exception}");
    }

    [Fact]
    public void Every_truncation_and_any_mutation_is_refused_or_harmless()
    {
        Write("""{"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"b":{"dtype":"F16","shape":[2],"data_offsets":[8,12]}}""", 12);
        var whole = File.ReadAllBytes(_file);
        for (var length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(_file, whole[..length]);
            Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(_file).Dispose());
        }

        var random = new Random(3);
        for (var round = 0; round < 2_000; round++)
        {
            var mutated = whole.ToArray();
            for (var flips = random.Next(1, 4); flips > 0; flips--) mutated[random.Next(mutated.Length)] ^= (byte)(1 << random.Next(8));
            File.WriteAllBytes(_file, mutated);
            var exception = Record.Exception(() =>
            {
                using var file = SafetensorsFile.Open(_file);
                foreach (var entry in file.Entries.Values) file.Read(entry).ToArray();
            });
            Assert.True(exception is null or CheckpointException, $"round {round}: {exception}");
        }
    }

    private void Write(string header, int dataBytes)
    {
        var json = Encoding.UTF8.GetBytes(header);
        var bytes = new byte[8 + json.Length + dataBytes];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, json.Length);
        json.CopyTo(bytes, 8);
        for (var index = 0; index < dataBytes; index++) bytes[8 + json.Length + index] = (byte)index;
        File.WriteAllBytes(_file, bytes);
    }
}
