namespace Flamingo.Bench.Peers.Gguf;

/// <summary>How a GGUF file holds the values of a tensor; the numbers are those of ggml's type table.</summary>
public enum GgufType
{
    /// <summary>4 bytes for each value.</summary>
    F32 = 0,

    /// <summary>18 bytes for 32 values along a row: a float16 scale and sixteen bytes of two values each.</summary>
    Q4_0 = 2,

    /// <summary>34 bytes for 32 values along a row: a float16 scale and 32 signed bytes.</summary>
    Q8_0 = 8,

    /// <summary>2 bytes for each value.</summary>
    BF16 = 30,
}

/// <summary>A tensor of a GGUF file.</summary>
/// <param name="Name">The name that llama.cpp looks for.</param>
/// <param name="Columns">Number of values of a row, which are contiguous: the inputs of a matrix, or the length of a vector.</param>
/// <param name="Rows">Number of rows: the outputs of a matrix; 0 for a vector.</param>
/// <param name="Constant">The value of all elements; null for random ones.</param>
public sealed record GgufTensor(string Name, GgufType Type, long Columns, long Rows = 0, float? Constant = null)
{
    public const int GroupValues = 32;

    public long Elements => Columns * Math.Max(1, Rows);

    public long Bytes => Type switch
    {
        GgufType.F32 => Elements * sizeof(float),
        GgufType.BF16 => Elements * sizeof(ushort),
        GgufType.Q8_0 => Elements / GroupValues * (sizeof(ushort) + GroupValues),
        _ => Elements / GroupValues * (sizeof(ushort) + (GroupValues / 2)),
    };
}
