using System.Buffers.Binary;
using System.Text;

namespace Flamingo.Import.Pickles;

/// <summary>Writes pickles opcode by opcode: the pickles of torch.save, and malicious pickles for tests.</summary>
public sealed class PickleWriter
{
    private readonly MemoryStream _bytes = new();

    public PickleWriter() => Raw(0x80, 2);

    public static PickleWriter Start => new();

    public PickleWriter Raw(params ReadOnlySpan<byte> bytes)
    {
        _bytes.Write(bytes);
        return this;
    }

    public PickleWriter Op(string opcodes) => Raw(Encoding.Latin1.GetBytes(opcodes));

    public PickleWriter Text(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        return Op("X").Raw(Int32(bytes.Length)).Raw(bytes);
    }

    /// <summary>BININT where the value fits, as Python writes it, and LONG1 with eight bytes for any other integer.</summary>
    public PickleWriter Number(long value)
    {
        if (value is >= int.MinValue and <= int.MaxValue) return Op("J").Raw(Int32((int)value));
        var bytes = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        return Raw(0x8a, 8).Raw(bytes);
    }

    public PickleWriter Global(string module, string name) => Op($"c{module}\n{name}\n");

    /// <summary>Writes a tensor in the form of torch.save.</summary>
    public PickleWriter Tensor(
        string key, string storage, long elements, long offset, IReadOnlyList<long> shape, IReadOnlyList<long>? stride = null)
    {
        Global("torch._utils", "_rebuild_tensor_v2").Op("((").Text("storage").Global("torch", storage).Text(key).Text("cpu")
            .Number(elements).Op("tQ").Number(offset).Op("(");
        foreach (var length in shape) Number(length);
        Op("t(");
        foreach (var step in stride ?? Contiguous(shape)) Number(step);
        return Op("t").Raw(0x89).Global("collections", "OrderedDict").Op(")RtR");
    }

    public byte[] Stop()
    {
        Op(".");
        return _bytes.ToArray();
    }

    private static long[] Contiguous(IReadOnlyList<long> shape)
    {
        var stride = new long[shape.Count];
        var next = 1L;
        for (var axis = shape.Count - 1; axis >= 0; axis--) (stride[axis], next) = (next, next * shape[axis]);
        return stride;
    }

    private static byte[] Int32(int value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        return bytes;
    }
}
