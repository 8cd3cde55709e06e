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
/// <param name="Teacher">Mean auxiliary loss of the batches that have one; 0 if none has.</param>
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
    /// <exception cref="CheckpointException">
    /// The data cannot be used, or a loss or a gradient is not finite; the message names the samples.
    /// </exception>
    public RunState Run(RunState state, Action<StepReport, RunState> after, CancellationToken cancellation)
    {
        var (start, before) = (time.GetTimestamp(), state.Elapsed);
        bool GoesOn() => state.Step < options.Steps && !(options.Limit <= state.Elapsed) && !cancellation.IsCancellationRequested;
        if (!GoesOn()) return state;
        try
        {
            foreach (var prepared in Prefetcher.Ahead(Prepare(state, cancellation), Ahead, unused => unused.Dispose()))
            {
                using var _ = prepared;
                if (!GoesOn()) break; // It was cancelled while the batches were awaited.
                var report = Take(prepared, state);
                state = state with { Step = report.Step, Streams = prepared.Next, Elapsed = before + time.GetElapsedTime(start) };
                after(report with { Elapsed = state.Elapsed }, state);
                if (!GoesOn()) break;
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // The thread that prepares batches stops within one of them.
        }

        return state;
    }

    public void Dispose() => _trainer.Dispose();

    private StepReport Take(Prepared prepared, RunState state)
    {
        var (losses, teacher) = (new double[streams.Count], new List<double>());
        foreach (var part in prepared.Parts)
        {
            var factor = streams[part.Stream].Multiplier / options.Accumulate;
            var (loss, auxiliary) = _trainer.Backward(part.Features, part.Batch, factor);
            if (!double.IsFinite(loss))
                throw new CheckpointException($"The loss of step {state.Step + 1} is {loss} {Blame(part)} Repair these samples or take "
                    + "them out and go on with --resume, or lower --learning-rate and name another --output.");
            losses[part.Stream] += loss / options.Accumulate;
            if (part.Batch.Twin is not null) teacher.Add(auxiliary);
        }

        var norm = _trainer.Clip(options.Clip);
        if (!double.IsFinite(norm))
            throw new CheckpointException($"The gradients of step {state.Step + 1} are not finite, in the batch that begins with "
                + $"{prepared.Parts[0].Origins[0]}. Lower --learning-rate and name another --output.");
        var rate = options.RateOf(state.Step, options.Limit is { } limit ? state.Elapsed / limit : 0);
        _trainer.Step(rate);
        return new StepReport(
            state.Step + 1, losses, teacher.DefaultIfEmpty().Average(), norm, rate, prepared.Parts.Sum(part => part.Batch.Ids.Length),
            prepared.Parts.Sum(part => part.Batch.Ids.Length * part.Batch.Length), state.Elapsed)
        {
            Gates = Gates(),
        };
    }

    // Which sequences of a batch have a loss that is not finite, each computed alone.
    private string Blame(Part part)
    {
        var bad = part.Origins.Where((_, at) => !double.IsFinite(_trainer.Loss(
            part.Features, new TrainingBatch([part.Batch.Ids[at]], [part.Batch.Labels[at]], [part.Batch.Pictures[at]])))).ToList();
        return bad.Count == part.Origins.Count ? $"for every sequence of the batch that begins with {part.Origins[0]}."
            : bad.Count == 0 ? $"for the batch that begins with {part.Origins[0]}, though for no sequence of it alone."
            : $"because of {string.Join(", ", bad.Take(5))}{(bad.Count > 5 ? $" and {bad.Count - 5} more" : "")}.";
    }

    private double[] Gates()
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        return [.. config.Language.CrossAttention.Layers
            .Select(layer => weights[$"layers.{layer}.gated_cross_attention.attention_gate"].to(ScalarType.Float32).tanh())
            .Select(gate => (double)(gate.numel() == 1 ? gate : gate.abs().mean()).item<float>())];
    }

    // What the steps need, in their order. Another thread reads it.
    private IEnumerable<Prepared> Prepare(RunState state, CancellationToken cancellation)
    {
        var batches = new List<IEnumerator<(IReadOnlyList<TrainingSequence>, StreamPosition)>>();
        try
        {
            foreach (var (index, stream) in streams.Index()) batches.Add(stream.Plan.From(state.Streams[index]).GetEnumerator());
            for (var step = state.Step; step < options.Steps; step++) yield return Next(batches, cancellation);
        }
        finally
        {
            foreach (var stream in batches) stream.Dispose();
        }
    }

    private Prepared Next(
        List<IEnumerator<(IReadOnlyList<TrainingSequence> Batch, StreamPosition Next)>> batches, CancellationToken cancellation)
    {
        var prepared = new Prepared([], new StreamPosition[streams.Count]);
        try
        {
            for (var stream = 0; stream < streams.Count; stream++)
                for (var part = 0; part < options.Accumulate; part++)
                {
                    cancellation.ThrowIfCancellationRequested();
                    if (!batches[stream].MoveNext())
                        throw new CheckpointException($"The stream {streams[stream].Name} has no samples that can be used.");
                    var (batch, position) = batches[stream].Current;
                    var padded = BatchPlan.Pad(batch, config.Tokens.Padding?.Id ?? 0);
                    if (options.TeacherWeight > 0) padded = padded with { Twin = twins.Of(batch, padded) };
                    prepared.Parts.Add(new Part(
                        stream, padded, features([.. batch.SelectMany(one => one.Pictures)]), [.. batch.Select(one => one.Origin)]));
                    prepared.Next[stream] = position;
                }

            return prepared;
        }
        catch
        {
            prepared.Dispose();
            throw;
        }
    }

    private sealed record Part(int Stream, TrainingBatch Batch, Tensor Features, IReadOnlyList<string> Origins);

    private sealed record Prepared(List<Part> Parts, StreamPosition[] Next) : IDisposable
    {
        public void Dispose()
        {
            foreach (var part in Parts) part.Features.Dispose();
        }
    }
}
