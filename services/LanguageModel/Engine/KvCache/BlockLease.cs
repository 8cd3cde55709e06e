namespace Flamingo.LanguageModel.Engine.KvCache;

/// <summary>
/// The blocks of one request: a promise for its full length, drawn on by its sequences. What a sequence gives back while
/// the request runs is promised to the request again (beams come and go). Disposing it gives the rest of the promise back.
/// </summary>
public sealed class BlockLease : IDisposable
{
    private readonly BlockPool _pool;
    private readonly HashSet<int> _taken = [];
    private int _left;
    private bool _disposed;

    /// <param name="blocks">Promised blocks; the pool must have them.</param>
    public BlockLease(BlockPool pool, int blocks)
    {
        pool.Reserve(blocks);
        (_pool, _left) = (pool, blocks);
    }

    /// <summary>A new block, the caller its one owner.</summary>
    public int Take()
    {
        if (_left == 0) throw new InvalidOperationException("A request asks for more blocks than were promised to it.");
        _left--;
        var block = _pool.Take();
        _taken.Add(block);
        return block;
    }

    /// <summary>One more owner, of this request's or another's block.</summary>
    public void Share(int block) => _pool.Share(block);

    /// <summary>Becomes one more owner of a block that another request has computed, in place of a promised block.</summary>
    public void Adopt(int block)
    {
        _pool.Unreserve(1);
        _left--;
        _pool.Share(block);
    }

    /// <summary>
    /// Gives up a block of its own for one with the same content that another request computed first. The promise stays used up.
    /// </summary>
    public void Exchange(int own, int twin)
    {
        _pool.Share(twin);
        _pool.Return(own);
        _taken.Remove(own);
    }

    /// <summary>Whether the block has other owners, so that it must be copied before it is written.</summary>
    public bool IsShared(int block) => _pool.OwnersOf(block) > 1;

    public void Return(int block)
    {
        if (!_pool.Return(block) || !_taken.Remove(block) || _disposed) return;
        _pool.Reserve(1);
        _left++;
    }

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _pool.Unreserve(_left);
    }
}
