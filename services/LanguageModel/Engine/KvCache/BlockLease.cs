namespace Flamingo.LanguageModel.Engine.KvCache;

/// <summary>
/// The blocks of one request. The lease reserves blocks for the request's full length, and the request's sequences take blocks
/// from that reservation. A block that a sequence returns while the request runs is reserved for the request again, because beams
/// end and split. Disposing the lease returns the blocks that are reserved but not taken.
/// </summary>
public sealed class BlockLease : IDisposable
{
    private readonly BlockPool _pool;
    private readonly HashSet<int> _taken = [];
    private int _left;
    private bool _disposed;

    /// <param name="blocks">Number of blocks to reserve; the pool must have so many available.</param>
    public BlockLease(BlockPool pool, int blocks)
    {
        pool.Reserve(blocks);
        (_pool, _left) = (pool, blocks);
    }

    /// <summary>Takes a block from the reservation. The caller is its only owner.</summary>
    public int Take()
    {
        if (_left == 0) throw new InvalidOperationException("A request takes more blocks than were reserved for it.");
        _left--;
        var block = _pool.Take();
        _taken.Add(block);
        return block;
    }

    /// <summary>Adds one owner to a block of this request or of another.</summary>
    public void Share(int block) => _pool.Share(block);

    /// <summary>Adds this request as an owner of a block that another request has computed. That block replaces a reserved block.</summary>
    public void Adopt(int block)
    {
        _pool.Unreserve(1);
        _left--;
        _pool.Share(block);
    }

    /// <summary>
    /// Replaces a block of this request by a block with the same content that another request computed first. The reservation
    /// does not grow by the returned block.
    /// </summary>
    public void Exchange(int own, int replacement)
    {
        _pool.Share(replacement);
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
