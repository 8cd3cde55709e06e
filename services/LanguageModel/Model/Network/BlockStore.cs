using Flamingo.Modeling.Kernels;
using Flamingo.Modeling.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Network;

/// <summary>
/// Keys and values in blocks. A block of text holds a few tokens; a block of pictures holds all latents of one picture.
/// The engine decides which block belongs to which sequence or picture.
/// </summary>
public sealed class BlockStore : IDisposable
{
    private readonly Tensor _room; // [layers × 2, blocks, heads, block tokens, head]
    private readonly (Tensor Keys, Tensor Values)[] _layers;

    /// <summary>Allocates all blocks. On the CPU the operating system provides memory only when a block is first written.</summary>
    public BlockStore(int layers, int blocks, int heads, int blockTokens, int headWidth, ScalarType dtype, Device device)
    {
        BlockTokens = blockTokens;
        _room = empty([2 * layers, blocks, heads, blockTokens, headWidth], dtype, device).DetachFromDisposeScope();
        _layers = [.. Enumerable.Range(0, layers).Select(layer =>
            (_room[2 * layer].DetachFromDisposeScope(), _room[(2 * layer) + 1].DetachFromDisposeScope()))];
    }

    public int BlockTokens { get; }

    /// <summary>Keys and values of a layer, each [blocks, heads, block tokens, head].</summary>
    public (Tensor Keys, Tensor Values) this[int layer] => _layers[layer];

    /// <summary>Bytes of the keys and values of one block in all layers.</summary>
    public static long BytesOf(int layers, int heads, int blockTokens, int headWidth, ScalarType dtype) =>
        2L * layers * heads * blockTokens * headWidth * dtype.ElementBytes();

    /// <summary>
    /// Addresses of the keys and values of a layer in the memory of the CPU, for computation outside torch. They are valid while the store
    /// lives.
    /// </summary>
    public (nint Keys, nint Values) AddressesOf(int layer)
    {
        var (keys, values) = _layers[layer];
        using TensorMemory first = new(keys), second = new(values);
        return (first.Address, second.Address);
    }

    public void Copy(int from, int to)
    {
        foreach (var (keys, values) in _layers)
        {
            keys[to].copy_(keys[from]);
            values[to].copy_(values[from]);
        }
    }

    /// <summary>Fills blocks with zeros in all layers.</summary>
    /// <param name="blocks">Block numbers, int64 [blocks], on the store's device.</param>
    public void Clear(Tensor blocks) => _room.index_fill_(1, blocks, Scalars.Of(0));

    public void Dispose()
    {
        foreach (var (keys, values) in _layers)
        {
            keys.Dispose();
            values.Dispose();
        }

        _room.Dispose();
    }
}
