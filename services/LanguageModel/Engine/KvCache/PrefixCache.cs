namespace Flamingo.LanguageModel.Engine.KvCache;

/// <summary>
/// The prefix cache: prompts of one tenant that begin alike share the blocks of keys and values of their beginning, and compute them once.
/// This is its whole story; each rule names the type that keeps it.
/// <list type="number">
/// <item>
/// Name. A full block is named by a hash over the tenant, all tokens up to the block's end and the pictures that they see
/// (<see cref="BlockHash"/>). Equal names mean equal keys and values, whoever computed them.
/// </item>
/// <item>
/// Find. Before a request is admitted, and again before each of its steps, the longest run of named blocks at its beginning is looked up
/// (<see cref="FindRun"/>) and shared instead of computed. The last token of a prompt is always computed, because its logits are wanted.
/// </item>
/// <item>
/// Publish. When a step has computed a block of a prompt to its end, commit names it (<see cref="Publish"/>). Where another request has
/// published the same content meanwhile, that block is kept and takes the place of the new one.
/// </item>
/// <item>
/// Keep. A published block that has lost its last owner is neither free nor leased but cached: it can be shared again, and it is what is
/// evicted, least recently used first, when a new block is needed and none is free (<see cref="BlockPool"/>).
/// </item>
/// <item>
/// Pin. A caller may ask that its prompt is kept for a time: then the pin is one more owner, so that its blocks are not evicted
/// (<see cref="PinnedPrefixes"/>).
/// </item>
/// </list>
/// Order matters in two places. Because of rule 3 an owner of a published block owns all published blocks before it in the prompt too, and
/// because sequences give back their last block first, the beginning of a prefix always stands behind its continuation in the order of
/// eviction. So the cache never holds a block whose beginning it has lost, which nobody could find.
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
    /// Blocks that hold the contents <paramref name="first"/>, <paramref name="first"/> + 1 and so on, as far as all are there.
    /// </summary>
    /// <param name="chain">Names of a prompt's blocks, from its first on.</param>
    /// <param name="end">Index behind the last name that is wanted.</param>
    public List<int> FindRun(IReadOnlyList<BlockHash> chain, int first, int end)
    {
        var run = new List<int>();
        for (var index = first; index < end && Find(chain[index]) is >= 0 and var block; index++) run.Add(block);
        return run;
    }

    /// <summary>Whether the block's content has a name, so that the block is worth keeping without an owner.</summary>
    public bool Holds(int block) => _names.ContainsKey(block);

    /// <summary>Names a block that is computed to its end.</summary>
    /// <returns>
    /// The block that holds this content from now on: the given one, or one that was published before. The caller then uses that one
    /// instead and gives its own back.
    /// </returns>
    public int Publish(BlockHash name, int block)
    {
        if (!_blocks.TryAdd(name, block)) return _blocks[name];
        _names.Add(block, name);
        return block;
    }

    /// <summary>Takes the name off a block that is evicted.</summary>
    public void Forget(int block)
    {
        if (_names.Remove(block, out var name)) _blocks.Remove(name);
    }
}
