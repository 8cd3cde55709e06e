using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Network;

/// <summary>Self-attention keys and values of one sequence, room for its full length from the start.</summary>
public sealed class KeyValueCache : IDisposable
{
    private readonly (Tensor Keys, Tensor Values)[] _layers;

    public KeyValueCache(int layers, int heads, int headWidth, int capacity, Device device)
    {
        Capacity = capacity;
        Tensor Room() => empty([heads, capacity, headWidth], device: device).DetachFromDisposeScope();
        _layers = [.. Enumerable.Range(0, layers).Select(_ => (Room(), Room()))];
    }

    public int Capacity { get; }

    /// <summary>Tokens held; setting it lower forgets the newest.</summary>
    public int Length { get; set; }

    /// <summary>Writes keys and values of new tokens behind the held ones and returns all of the layer's. <see cref="Length"/> moves once all layers have written.</summary>
    /// <param name="keys">[heads, new tokens, head]</param>
    /// <returns>Views, valid until the cache is disposed: [heads, all tokens, head].</returns>
    public (Tensor Keys, Tensor Values) Append(int layer, Tensor keys, Tensor values)
    {
        var end = Length + keys.shape[1];
        var (allKeys, allValues) = _layers[layer];
        allKeys.slice(1, Length, end, 1).copy_(keys);
        allValues.slice(1, Length, end, 1).copy_(values);
        return (allKeys.slice(1, 0, end, 1), allValues.slice(1, 0, end, 1));
    }

    public void Dispose()
    {
        foreach (var (keys, values) in _layers)
        {
            keys.Dispose();
            values.Dispose();
        }
    }
}
