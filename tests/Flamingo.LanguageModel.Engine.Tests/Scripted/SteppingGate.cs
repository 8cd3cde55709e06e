using System.Threading.Channels;

namespace Flamingo.LanguageModel.Engine.Tests.Scripted;

/// <summary>
/// Where a test and the engine's own task meet: the engine waits at the beginning of every step until the test lets it through.
/// </summary>
internal sealed class SteppingGate
{
    private readonly Channel<(ScheduledBatch Batch, TaskCompletionSource Through)> _arrivals =
        Channel.CreateUnbounded<(ScheduledBatch, TaskCompletionSource)>();
    private volatile bool _open;

    /// <summary>Waits until the engine stands before a step.</summary>
    public async Task<(ScheduledBatch Batch, TaskCompletionSource Through)> ArrivalAsync(CancellationToken cancellation) =>
        await _arrivals.Reader.ReadAsync(cancellation);

    /// <summary>Lets one step through.</summary>
    /// <returns>What it computes.</returns>
    public async Task<ScheduledBatch> StepAsync(CancellationToken cancellation)
    {
        var (batch, through) = await ArrivalAsync(cancellation);
        through.SetResult();
        return batch;
    }

    /// <summary>Lets through all that wait and all that come.</summary>
    public void Open()
    {
        _open = true;
        while (_arrivals.Reader.TryRead(out var arrival)) arrival.Through.TrySetResult();
    }

    /// <summary>The engine's side.</summary>
    public async Task PassAsync(ScheduledBatch batch, CancellationToken cancellation)
    {
        var through = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _arrivals.Writer.TryWrite((batch, through));
        if (_open) through.TrySetResult();
        await through.Task.WaitAsync(cancellation);
    }
}
