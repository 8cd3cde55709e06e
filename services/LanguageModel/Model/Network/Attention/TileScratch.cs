using Flamingo.Modeling.Kernels;

namespace Flamingo.LanguageModel.Network.Attention;

/// <summary>
/// The f32 working memory of one thread for a tile. It grows to the largest tile so far. Contents are valid until the next
/// <see cref="Reserve"/>.
/// </summary>
internal sealed unsafe class TileScratch
{
    private const int Alignment = 16;
    private float[] _memory = [];

    /// <summary>[rows, width]</summary>
    public float* Query { get; private set; }

    /// <summary>[rows, <see cref="ScoreStride"/>]</summary>
    public float* Scores { get; private set; }

    public int ScoreStride { get; private set; }

    /// <summary>[rows, width]</summary>
    public float* Mixed { get; private set; }

    /// <summary>A block converted to f32, [blockTokens, width].</summary>
    public float* Block { get; private set; }

    public void Reserve(RowTile tile, int blockTokens, int width)
    {
        ScoreStride = Lanes.Padded(tile.Longest + 3); // the kernel writes four scores at a time
        var needed = checked(2 * tile.Count * width + tile.Count * ScoreStride + blockTokens * width + Alignment);
        if (_memory.Length < needed) _memory = GC.AllocateUninitializedArray<float>(Math.Max(needed, 2 * _memory.Length), pinned: true);
        // the array is pinned, so its address does not change
        fixed (float* start = _memory) Query = start + (Alignment - (nint)start / sizeof(float) % Alignment) % Alignment;
        Mixed = Query + tile.Count * width;
        Block = Mixed + tile.Count * width;
        Scores = Block + blockTokens * width;
    }
}
