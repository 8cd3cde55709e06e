namespace Flamingo.LanguageModel.Engine.KvCache;

/// <summary>
/// The prefix cache. Prompts of one tenant that begin with the same tokens and pictures share the blocks of keys and values of
/// that beginning, which are computed once. These are its rules, each with the type that implements it.
/// <list type="number">
/// <item>
/// Hash. A full block is identified by a hash over the tenant, all tokens up to the end of the block and the pictures that they
/// attend to (<see cref="BlockHash"/>). Equal hashes mean equal keys and values, whichever request computed them.
/// </item>
/// <item>
/// Find. Before a request is admitted, and again before each of its steps, the longest run of published blocks at its beginning
/// is looked up (<see cref="FindRun"/>) and shared instead of computed. The last token of a prompt is always computed, because
/// its logits are needed.
/// </item>
/// <item>
/// Publish. When a step has computed the last token of a block, the block is published under its hash (<see cref="Publish"/>). If
/// another request has published the same content in the meantime, that block replaces the new one.
/// </item>
/// <item>
/// Keep. A published block that has no owner any more is neither free nor leased but cached. It can be shared again. When a new
/// block is needed and none is free, the least recently used cached block is evicted (<see cref="BlockPool"/>).
/// </item>
/// <item>
/// Pin. A caller may ask to keep its prompt for a time. The pin is then one more owner of the prompt's blocks, so that they are not evicted
/// (<see cref="PinnedPrefixes"/>).
/// </item>
/// </list>
/// The cache never holds a block without the blocks before it in the prompt, because such a block could not be found. Two rules
/// ensure this. By the rule "Publish", an owner of a published block owns all published blocks before it too. And sequences
/// return their last block first, so the beginning of a prefix is always evicted after its continuation.
/// Not thread-safe: the engine's loop owns it.
/// </summary>
public sealed class PrefixCache
{
    private readonly Dictionary<BlockHash, int> _blocks = [];
    private readonly Dictionary<int, BlockHash> _names = [];

    /// <summary>Published blocks.</summary>
    public int Count => _blocks.Count;

    /// <returns>The block that holds this content, or −1.</returns>
    public int Find(BlockHash name) => _blocks.GetValueOrDefault(name, -1);

    /// <summary>
    /// Blocks that hold the contents <paramref name="first"/>, <paramref name="first"/> + 1 and so on, up to the first that the
    /// cache does not hold.
    /// </summary>
    /// <param name="chain">Hashes of a prompt's blocks, from the first on.</param>
    /// <param name="end">Index after the last hash to look up.</param>
    public List<int> FindRun(IReadOnlyList<BlockHash> chain, int first, int end)
    {
        var run = new List<int>();
        for (var index = first; index < end && Find(chain[index]) is >= 0 and var block; index++) run.Add(block);
        return run;
    }

    /// <summary>Whether the block is published, so that it is worth keeping without an owner.</summary>
    public bool Holds(int block) => _names.ContainsKey(block);

    /// <summary>Publishes a block whose tokens are all computed.</summary>
    /// <returns>
    /// The block that holds this content from now on: the given block, or a block that was published before. In the second case
    /// the caller uses the returned block and returns its own to the pool.
    /// </returns>
    public int Publish(BlockHash name, int block)
    {
        if (!_blocks.TryAdd(name, block)) return _blocks[name];
        _names.Add(block, name);
        return block;
    }

    /// <summary>Removes a block that is evicted.</summary>
    public void Forget(int block)
    {
        if (_names.Remove(block, out var name)) _blocks.Remove(name);
    }
}
