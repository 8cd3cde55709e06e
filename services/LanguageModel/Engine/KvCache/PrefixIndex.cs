namespace Flamingo.LanguageModel.Engine.KvCache;

/// <summary>Which block holds which content. Only blocks that are computed to their end are published.</summary>
public sealed class PrefixIndex
{
    private readonly Dictionary<BlockHash, int> _blocks = [];
    private readonly Dictionary<int, BlockHash> _names = [];

    public int Count => _blocks.Count;

    /// <returns>The block, or −1.</returns>
    public int Find(BlockHash name) => _blocks.GetValueOrDefault(name, -1);

    public bool Holds(int block) => _names.ContainsKey(block);

    /// <summary>Names a block whose content no other block has.</summary>
    public void Publish(BlockHash name, int block)
    {
        _blocks.Add(name, block);
        _names.Add(block, name);
    }

    public void Forget(int block)
    {
        if (_names.Remove(block, out var name)) _blocks.Remove(name);
    }
}
