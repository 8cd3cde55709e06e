using System.Threading.Channels;

namespace Flamingo.LanguageModel.Engine.Tests.Scripted;

/// <summary>
/// Synchronises a test with the engine's own task: the engine waits at the beginning of every step until the test lets it continue.
/// </summary>
internal sealed class SteppingGate
{
    private readonly Channel<(ScheduledBatch Batch, TaskCompletionSource Through)> _arrivals =
        Channel.CreateUnbounded<(ScheduledBatch, TaskCompletionSource)>();
    private volatile bool _open;

    /// <summary>Waits until the engine is about to run a step.</summary>
    public async Task<(ScheduledBatch Batch, TaskCompletionSource Through)> ArrivalAsync(CancellationToken cancellation) =>
        await _arrivals.Reader.ReadAsync(cancellation);

    /// <summary>Lets the engine run one step.</summary>
    /// <returns>The batch of the step.</returns>
    public async Task<ScheduledBatch> StepAsync(CancellationToken cancellation)
    {
        var (batch, through) = await ArrivalAsync(cancellation);
        through.SetResult();
        return batch;
    }

    /// <summary>Lets the waiting step and all later steps run.</summary>
    public void Open()
    {
        _open = true;
        while (_arrivals.Reader.TryRead(out var arrival)) arrival.Through.TrySetResult();
    }

    /// <summary>Called by the engine at the beginning of a step.</summary>
    public async Task PassAsync(ScheduledBatch batch, CancellationToken cancellation)
    {
        var through = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _arrivals.Writer.TryWrite((batch, through));
        if (_open) through.TrySetResult();
        await through.Task.WaitAsync(cancellation);
    }
}
