using Flamingo.LanguageModel.Engine.KvCache;

namespace Flamingo.LanguageModel.Engine.Scheduling;

/// <summary>A growing list of tokens, how many of them are computed, and the blocks that hold their keys and values.</summary>
public sealed class Sequence
{
    private readonly BlockLease _lease;
    private readonly List<int> _blocks = [];

    public Sequence(EngineRequest request, IEnumerable<int> ids, BlockLease lease) => (Request, Ids, _lease) = (request, [.. ids], lease);

    public EngineRequest Request { get; }

    public List<int> Ids { get; }

    /// <summary>Tokens whose keys and values are held.</summary>
    public int Computed { get; set; }

    public int Uncomputed => Ids.Count - Computed;

    /// <summary>Per token behind the prompt, the id whose log-likelihood after it is wanted; empty where logits are.</summary>
    public IReadOnlyList<int> Targets { get; init; } = [];

    /// <summary>
    /// Per token behind the prompt, the picture that it sees, or −1; empty where all see what the prompt's last token sees.
    /// </summary>
    public IReadOnlyList<int> Pictures { get; init; } = [];

    /// <summary>Block table; every block but the last is full once computed.</summary>
    public IReadOnlyList<int> Blocks => _blocks;

    /// <summary>Begins behind blocks that other requests had computed before this one was admitted; none of them was promised.</summary>
    public void BeginBehind(IReadOnlyList<int> blocks, int blockTokens)
    {
        foreach (var block in blocks) _lease.Share(block);
        Append(blocks, blockTokens);
    }

    /// <summary>
    /// Uses blocks that other requests have computed since then in place of promised ones; the sequence must stand at a block's border.
    /// </summary>
    public void Adopt(IReadOnlyList<int> blocks, int blockTokens)
    {
        foreach (var block in blocks) _lease.Adopt(block);
        Append(blocks, blockTokens);
    }

    /// <summary>Uses another block with the same content in place of its own.</summary>
    public void Exchange(int at, int twin)
    {
        _lease.Exchange(_blocks[at], twin);
        _blocks[at] = twin;
    }

    /// <summary>Slot of the picture that a position sees, or −1.</summary>
    public int SlotAt(int position)
    {
        var (prompt, behind) = (Request.Prompt, position - Request.Prompt.Ids.Count);
        var picture = behind >= 0 && Pictures.Count > 0 ? Pictures[behind] : prompt.PictureAt(position);
        return picture >= 0 ? Request.PictureLease!.Slots[prompt.Keys[picture]] : -1;
    }

    /// <summary>Another sequence with the same past: it shares all blocks until one of the two writes.</summary>
    public Sequence Fork(IEnumerable<int> more, IReadOnlyList<int>? targets = null, IReadOnlyList<int>? pictures = null)
    {
        var fork = new Sequence(Request, Ids.Take(Computed).Concat(more), _lease) { Computed = Computed, Targets = targets
            ?? [], Pictures = pictures ?? [] };
        foreach (var block in _blocks)
        {
            _lease.Share(block);
            fork._blocks.Add(block);
        }

        return fork;
    }

    /// <summary>
    /// Makes room for the next tokens, in blocks that have no other owner. A shared block that is half full is copied first.
    /// </summary>
    public void MakeRoom(int tokens, int blockTokens, List<BlockCopy> copies)
    {
        var at = Computed / blockTokens;
        if (Computed % blockTokens != 0 && _lease.IsShared(_blocks[at]))
        {
            var own = _lease.Take();
            copies.Add(new BlockCopy(_blocks[at], own));
            _lease.Return(_blocks[at]);
            _blocks[at] = own;
        }

        while (_blocks.Count * blockTokens < Computed + tokens) _blocks.Add(_lease.Take());
    }

    /// <summary>
    /// Gives all blocks back, the last one first, so that the cache evicts the end of a prefix before its beginning.
    /// </summary>
    public void Release()
    {
        for (var last = _blocks.Count - 1; last >= 0; last--) _lease.Return(_blocks[last]);
        _blocks.Clear();
    }

    private void Append(IReadOnlyList<int> computed, int blockTokens)
    {
        _blocks.AddRange(computed);
        Computed += computed.Count * blockTokens;
        Request.CachedTokens += computed.Count * blockTokens;
    }
}
