using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.VisionEncoder.Decoding;
using Flamingo.VisionEncoder.Preprocessing;

namespace Flamingo.VisionEncoder.Execution;

/// <summary>
/// Decodes and resizes pictures to 8-bit levels on the thread pool. Decoded pictures of full size exist only here, and at most
/// one per slot at a time. A call queues at most as many pictures as there are slots, so that a large call does not delay a small
/// call for long.
/// </summary>
internal sealed class PictureReader(IPictureDecoder decoder, PicturePreprocessor preprocessor, int slots) : IDisposable
{
    private readonly SemaphoreSlim _slots = new(slots);

    /// <returns>For each picture the levels of its frames, each u8 [3, size, size].</returns>
    /// <exception cref="FlamingoException">InvalidArgument, naming every picture or file that is truncated or damaged.</exception>
    public async Task<IReadOnlyList<IReadOnlyList<byte[]>>> ReadAsync(IReadOnlyList<PicturePlan> plans, CancellationToken cancellation)
    {
        var (levels, faults) = (new IReadOnlyList<byte[]>[plans.Count], new IReadOnlyList<FieldFault>[plans.Count]);
        await Parallel.ForAsync(0, plans.Count, new ParallelOptions
        {
            MaxDegreeOfParallelism = slots, CancellationToken = cancellation
        }, async (index, cancellation) =>
        {
            await _slots.WaitAsync(cancellation);
            try
            {
                (levels[index], faults[index]) = Read(plans[index], $"pictures[{index}]", cancellation);
            }
            finally
            {
                _slots.Release();
            }
        });
        PromptRules.ThrowIfAny([.. faults.SelectMany(fault => fault)]);
        return levels;
    }

    public void Dispose() => _slots.Dispose();

    private (
        IReadOnlyList<byte[]> Levels, IReadOnlyList<FieldFault> Faults) Read(PicturePlan plan, string field, CancellationToken cancellation)
    {
        var (levels, faults, files) = (new List<byte[]>(plan.Frames.Count), new FaultList(), plan.Picture.Files);
        foreach (
            var (index, picture) in (
                plan.IsAnimation
                    ? decoder.DecodeFrames(files[0], plan.Frames)
                    : plan.Frames.Select(frame => decoder.Decode(files[frame]))).Index())
        {
            cancellation.ThrowIfCancellationRequested();
            if (picture is not null) levels.Add(preprocessor.Levels(picture));
            else faults.Add(
                new(
                    files.Count > 1 ? $"{field}.files[{plan.Frames[index]}]" : field,
                    plan.IsAnimation ? $"Frame {plan.Frames[index]} is truncated or damaged." : "The picture is truncated or damaged.",
                    PictureGate.Formats));
        }

        return (levels, faults);
    }
}
