using Flamingo.LanguageModel.Engine.KvCache;

namespace Flamingo.LanguageModel.Engine.Scheduling;

/// <summary>A growing list of tokens, the number of them that are computed, and the blocks that hold their keys and values.</summary>
public sealed class Sequence
{
    private readonly BlockLease _lease;
    private readonly List<int> _blocks = [];

    public Sequence(EngineRequest request, IEnumerable<int> ids, BlockLease lease) => (Request, Ids, _lease) = (request, [.. ids], lease);

    public EngineRequest Request { get; }

    public List<int> Ids { get; }

    /// <summary>Number of tokens whose keys and values the blocks hold.</summary>
    public int Computed { get; set; }

    public int Uncomputed => Ids.Count - Computed;

    /// <summary>
    /// For each token after the prompt, the next id, whose log-likelihood is to be computed; empty if logits are to be returned.
    /// </summary>
    public IReadOnlyList<int> Targets { get; init; } = [];

    /// <summary>
    /// For each token after the prompt, the picture that it attends to, or −1; empty if all attend to the picture of the prompt's
    /// last token.
    /// </summary>
    public IReadOnlyList<int> Pictures { get; init; } = [];

    /// <summary>Block table: the blocks that hold the tokens, in order.</summary>
    public IReadOnlyList<int> Blocks => _blocks;

    /// <summary>
    /// Begins after blocks that other requests had computed before this request was admitted. These blocks were not reserved.
    /// </summary>
    public void BeginBehind(IReadOnlyList<int> blocks, int blockTokens)
    {
        foreach (var block in blocks) _lease.Share(block);
        Append(blocks, blockTokens);
    }

    /// <summary>
    /// Uses blocks that other requests have computed since the admission instead of reserved blocks. The number of computed
    /// tokens must be a multiple of the block size.
    /// </summary>
    public void Adopt(IReadOnlyList<int> blocks, int blockTokens)
    {
        foreach (var block in blocks) _lease.Adopt(block);
        Append(blocks, blockTokens);
    }

    /// <summary>Replaces the block at index <paramref name="at"/> by another block with the same content.</summary>
    public void Exchange(int at, int replacement)
    {
        _lease.Exchange(_blocks[at], replacement);
        _blocks[at] = replacement;
    }

    /// <summary>Slot of the picture that a position attends to, or −1.</summary>
    public int SlotAt(int position)
    {
        var (prompt, behind) = (Request.Prompt, position - Request.Prompt.Ids.Count);
        var picture = behind >= 0 && Pictures.Count > 0 ? Pictures[behind] : prompt.PictureAt(position);
        return picture >= 0 ? Request.PictureLease!.Slots[prompt.Keys[picture]] : -1;
    }

    /// <summary>Creates another sequence with the same computed tokens. The two share all blocks until one of them writes.</summary>
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
    /// Provides blocks without another owner for the next tokens. A partly filled block that is shared is copied first.
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
    /// Returns all blocks, the last first, so that the cache evicts the end of a prefix before its beginning.
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
