using System.Collections.Concurrent;
using Flamingo.Checkpoints;
using Flamingo.Training.Data;
using Flamingo.Training.Network;
using static TorchSharp.torch;

namespace Flamingo.Training.Loop;

/// <summary>One stream of a run.</summary>
/// <param name="Name">How metrics call it.</param>
/// <param name="Multiplier">Factor of its loss.</param>
/// <param name="Plan">Its batches.</param>
public sealed record TrainingStream(string Name, double Multiplier, BatchPlan Plan);

/// <summary>What one step reports.</summary>
/// <param name="Step">Steps taken, this one included.</param>
/// <param name="Losses">Mean loss of each stream, in the order of the streams.</param>
/// <param name="Teacher">The auxiliary loss; 0 if it is left out.</param>
/// <param name="Norm">Norm of the gradients before clipping.</param>
/// <param name="Rate">Learning rate.</param>
/// <param name="Sequences">Sequences of the step.</param>
/// <param name="Tokens">Tokens of the step, padding included.</param>
/// <param name="Elapsed">Time of the run so far.</param>
public sealed record StepReport(
    long Step, IReadOnlyList<double> Losses, double Teacher, double Norm, double Rate, int Sequences, int Tokens, TimeSpan Elapsed)
{
    /// <summary>Tanh of the attention gate of each gated block, in order; the mean size where a block has many.</summary>
    public required IReadOnlyList<double> Gates { get; init; }
}

/// <summary>
/// The loop: each step takes a batch of every stream, adds the gradients of all, and moves the weights once. Batches are read, decoded and
/// encoded by another thread. The same settings and seed give the same losses, also after a resumption.
/// </summary>
/// <param name="config">Sizes and forms.</param>
/// <param name="weights">Weights in training, which the caller owns.</param>
/// <param name="streams">The data.</param>
/// <param name="features">Features of a batch's pictures, [pictures, patches, width]; the run disposes them.</param>
/// <param name="twins">Writes sequences as text alone, for the auxiliary loss.</param>
/// <param name="options">How long and how.</param>
/// <param name="time">Measures the run.</param>
public sealed class TrainingRun(
    ModelConfig config, BridgeWeights weights, IReadOnlyList<TrainingStream> streams, Func<IReadOnlyList<PictureFile>, Tensor> features,
    TextTwins twins, TrainingOptions options, TimeProvider time) : IDisposable
{
    private const int Ahead = 4; // steps that are prepared before they are needed

    private readonly BridgeTrainer _trainer = new(config, weights, options.Optimizer, options.Recomputes, options.TeacherWeight);

    /// <summary>The network with its gradients, for measurements between steps.</summary>
    public BridgeTrainer Trainer => _trainer;

    /// <summary>Runs from a state to the end, or until it is cancelled; then the step that is under way is finished.</summary>
    /// <param name="state">Where the run begins.</param>
    /// <param name="after">Called after each step with its report and the state after it.</param>
    /// <returns>The last state.</returns>
    /// <exception cref="CheckpointException">A loss is not finite; the batch's origin is named.</exception>
    public RunState Run(RunState state, Action<StepReport, RunState> after, CancellationToken cancellation)
    {
        var (start, before) = (time.GetTimestamp(), state.Elapsed);
        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var ready = new BlockingCollection<Prepared>(Ahead);
        var preparing = Task.Run(() => Prepare(state, ready, stopping.Token), CancellationToken.None);
        try
        {
            while (state.Step < options.Steps && !(options.Limit <= state.Elapsed) && !cancellation.IsCancellationRequested)
            {
                if (!ready.TryTake(out var prepared, Timeout.Infinite, CancellationToken.None)) break; // preparing has failed
                using (prepared)
                {
                    var report = Take(prepared, state);
                    state = state with { Step = report.Step, Streams = prepared.Next, Elapsed = before + time.GetElapsedTime(start) };
                    after(report with { Elapsed = state.Elapsed }, state);
                }
            }
        }
        finally
        {
            stopping.Cancel();
            foreach (var unused in ready.GetConsumingEnumerable(CancellationToken.None)) unused.Dispose();
        }

        try
        {
            preparing.GetAwaiter().GetResult();
        }
        catch (OperationCanceledException)
        {
        }

        return state;
    }

    public void Dispose() => _trainer.Dispose();

    private StepReport Take(Prepared prepared, RunState state)
    {
        var progress = Math.Max(state.Step / (double)options.Steps, options.Limit is { } limit ? state.Elapsed / limit : 0);
        var (losses, teacher) = (new double[streams.Count], 0.0);
        foreach (var (stream, batch, pictures, origin) in prepared.Parts)
        {
            var factor = streams[stream].Multiplier / options.Accumulate;
            var (loss, auxiliary) = _trainer.Backward(pictures, batch, factor);
            if (!double.IsFinite(loss))
                throw new CheckpointException($"The loss of step {state.Step} is {loss}. The batch began with {origin}. Look at that sample, "
                    + "or lower --learning-rate, and go on with --resume.");
            losses[stream] += loss / options.Accumulate;
            teacher += auxiliary / options.Accumulate / streams.Count;
        }

        var norm = _trainer.Clip(options.Clip);
        if (!double.IsFinite(norm))
            throw new CheckpointException($"The gradients of step {state.Step} are not finite. Lower --learning-rate, and go on with --resume.");
        var rate = options.RateOf(state.Step, progress);
        _trainer.Step(rate);
        return new StepReport(
            state.Step + 1, losses, teacher, norm, rate, prepared.Parts.Sum(part => part.Batch.Ids.Length),
            prepared.Parts.Sum(part => part.Batch.Ids.Length * part.Batch.Length), state.Elapsed)
        {
            Gates = Gates(),
        };
    }

    private double[] Gates()
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        return [.. config.Language.CrossAttention.Layers
            .Select(layer => weights[$"layers.{layer}.gated_cross_attention.attention_gate"].to(ScalarType.Float32).tanh())
            .Select(gate => (double)(gate.numel() == 1 ? gate : gate.abs().mean()).item<float>())];
    }

    private void Prepare(RunState state, BlockingCollection<Prepared> ready, CancellationToken cancellation)
    {
        var batches = streams.Select((stream, index) => stream.Plan.From(state.Streams[index]).GetEnumerator()).ToList();
        var padding = config.Tokens.Padding?.Id ?? 0;
        try
        {
            for (var step = state.Step; step < options.Steps; step++)
            {
                var parts = new List<(int Stream, TrainingBatch Batch, Tensor Features, string Origin)>();
                var next = new StreamPosition[streams.Count];
                for (var stream = 0; stream < streams.Count; stream++)
                    for (var part = 0; part < options.Accumulate; part++)
                    {
                        cancellation.ThrowIfCancellationRequested();
                        if (!batches[stream].MoveNext())
                            throw new CheckpointException($"The stream {streams[stream].Name} has no samples that can be used.");
                        var (batch, position) = batches[stream].Current;
                        var padded = BatchPlan.Pad(batch, padding);
                        if (options.TeacherWeight > 0) padded = padded with { Twin = twins.Of(batch, padded) };
                        parts.Add((stream, padded, features([.. batch.SelectMany(one => one.Pictures)]), batch[0].Origin));
                        next[stream] = position;
                    }

                ready.Add(new Prepared(parts, next), cancellation);
            }
        }
        finally
        {
            ready.CompleteAdding();
            foreach (var stream in batches) stream.Dispose();
        }
    }

    private sealed record Prepared(
        IReadOnlyList<(int Stream, TrainingBatch Batch, Tensor Features, string Origin)> Parts, StreamPosition[] Next) : IDisposable
    {
        public void Dispose()
        {
            foreach (var part in Parts) part.Features.Dispose();
        }
    }
}
