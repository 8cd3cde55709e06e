using Flamingo.Bench.Stacks;
using Flamingo.LanguageModel.Engine.Generation;

namespace Flamingo.Bench.Soaking;

/// <summary>The resources of the process at one moment.</summary>
/// <param name="ResidentBytes">Resident memory of the process.</param>
/// <param name="HeapBytes">Size of the managed heap.</param>
public sealed record SoakSample(long ResidentBytes, long HeapBytes, long LiveTensors, EngineStatistics Engine)
{
    /// <summary>
    /// Number of blocks and pictures that requests lease. Pinned blocks are not included, because they are kept for a time.
    /// </summary>
    public int Leased => Engine.LeasedBlocks - Engine.PinnedBlocks + Engine.LeasedPictures;

    /// <summary>Takes a sample at once, under load.</summary>
    public static async Task<SoakSample> TakeAsync(EmbeddedStack stack, CancellationToken cancellation) =>
        new(Environment.WorkingSet, GC.GetTotalMemory(forceFullCollection: false), await stack.LiveTensorsAsync(cancellation),
            stack.Engine);

    /// <summary>
    /// Takes a sample once no request runs or waits, after a garbage collection. Tensors are counted before the collection, because a
    /// finalizer would hide a tensor that was not disposed.
    /// </summary>
    /// <exception cref="TimeoutException">The engine still has work after half a minute without callers.</exception>
    public static async Task<SoakSample> TakeIdleAsync(EmbeddedStack stack, TimeProvider time, CancellationToken cancellation)
    {
        for (var polls = 0; stack.Engine is { Running: > 0 } or { Waiting: > 0 }; polls++)
        {
            if (polls == 600) throw new TimeoutException($"The engine still has work after all callers have ended: {stack.Engine}.");
            await Task.Delay(TimeSpan.FromMilliseconds(50), time, cancellation);
        }

        var tensors = await stack.LiveTensorsAsync(cancellation);
        return new(Environment.WorkingSet, GC.GetTotalMemory(forceFullCollection: true), tensors,
            stack.Engine) { ResidentBytes = Environment.WorkingSet };
    }

    public override string ToString() =>
        $"{ResidentBytes >> 20} MiB resident, {HeapBytes >> 20} MiB heap, {LiveTensors} tensors, {Engine.Running} run, {Engine.Waiting} "
        + $"wait, blocks {Engine.FreeBlocks} free {Engine.LeasedBlocks} leased {Engine.CachedBlocks} cached";
}
