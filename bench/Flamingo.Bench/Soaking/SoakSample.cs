using Flamingo.Bench.Stacks;
using Flamingo.LanguageModel.Engine.Generation;

namespace Flamingo.Bench.Soaking;

/// <summary>What the process held at one moment.</summary>
/// <param name="ResidentBytes">Of the whole process.</param>
/// <param name="HeapBytes">Managed.</param>
public sealed record SoakSample(long ResidentBytes, long HeapBytes, long LiveTensors, EngineStatistics Engine)
{
    /// <summary>Blocks and pictures that some request still leases; what is pinned waits for its time and is nobody's.</summary>
    public int Leased => Engine.LeasedBlocks - Engine.PinnedBlocks + Engine.LeasedPictures;

    /// <summary>As it is, under load.</summary>
    public static async Task<SoakSample> TakeAsync(EmbeddedStack stack, CancellationToken cancellation) =>
        new(Environment.WorkingSet, GC.GetTotalMemory(forceFullCollection: false), await stack.LiveTensorsAsync(cancellation), stack.Engine);

    /// <summary>Once nothing runs or waits, without garbage. Tensors are counted first: a finalizer must not hide one that nobody disposed of.</summary>
    /// <exception cref="TimeoutException">The engine still has work after half a minute without callers.</exception>
    public static async Task<SoakSample> TakeIdleAsync(EmbeddedStack stack, TimeProvider time, CancellationToken cancellation)
    {
        for (var polls = 0; stack.Engine is { Running: > 0 } or { Waiting: > 0 }; polls++)
        {
            if (polls == 600) throw new TimeoutException($"Without callers the engine still has work: {stack.Engine}.");
            await Task.Delay(TimeSpan.FromMilliseconds(50), time, cancellation);
        }

        var tensors = await stack.LiveTensorsAsync(cancellation);
        return new(Environment.WorkingSet, GC.GetTotalMemory(forceFullCollection: true), tensors, stack.Engine) { ResidentBytes = Environment.WorkingSet };
    }

    public override string ToString() =>
        $"{ResidentBytes >> 20} MiB resident, {HeapBytes >> 20} MiB heap, {LiveTensors} tensors, {Engine.Running} run, {Engine.Waiting} wait, blocks {Engine.FreeBlocks} free {Engine.LeasedBlocks} leased {Engine.CachedBlocks} cached";
}
