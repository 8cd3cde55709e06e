using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Network;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.LanguageModel.Network.FewRows;
using Flamingo.Modeling.Devices;
using Flamingo.Modeling.Runtime;
using Flamingo.Modeling.Tensors;
using Flamingo.Stages;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Execution;

/// <summary>
/// Runs the decoder on the inference thread. Each step is a work item of its own, so that other stages of the process can run
/// between steps.
/// </summary>
public sealed class TorchModelRunner : IModelRunner, IDisposable
{
    /// <summary>Most rows of one score matrix. With a large vocabulary this matrix is the largest tensor of a step.</summary>
    private const int MostScoredRows = 64;

    /// <summary>Most rows that <see cref="FewRowDecoder"/> computes. torch's products of more rows are faster.</summary>
    private const int MostFewRows = 4;

    private readonly Decoder _decoder;
    private readonly InferenceThread _thread;
    private readonly DeviceTransfer _transfer;
    private readonly int _heads, _latents;
    private readonly BlockStore _text, _pictures;
    private readonly IBlockAttention _attention;
    private readonly FewRowDecoder? _fewRows;

    /// <param name="heads">Number of heads of the gated blocks.</param>
    /// <param name="latents">Number of latents of one picture.</param>
    /// <param name="attention">Implementation of block attention. On the CPU the result of a row must not depend on the other
    /// rows of the batch.</param>
    public TorchModelRunner(Decoder decoder, ModelMemory memory, int heads, int latents, InferenceThread thread, IBlockAttention attention)
    {
        (_decoder, Memory, _heads, _latents, _thread, _transfer, _attention) =
            (decoder, memory, heads, latents, thread, decoder.Transfer, attention);
        _text = decoder.NewTextStore(memory.Blocks, memory.BlockTokens);
        _pictures = decoder.NewPictureStore(memory.PictureSlots, latents);
        _fewRows = decoder.ForFewRows(_text, _pictures, MostFewRows, thread.Team);
    }

    public ModelMemory Memory { get; }

    /// <summary>Number of multiplications from which on all threads compute a step of few rows; null for the usual one.</summary>
    public long? ParallelWork { get; set; }

    public Task<IReadOnlyList<StepOutput>> RunAsync(ScheduledBatch batch, CancellationToken cancellation) =>
        _thread.RunAsync<IReadOnlyList<StepOutput>>(() =>
        {
            foreach (var (slot, latents) in batch.Projections)
                _decoder.Project(latents.ToTensor(_transfer, _decoder.Dtype), _pictures, slot);
            foreach (var (from, to) in batch.Copies) _text.Copy(from, to);
            if (_attention.ReadsWholeBlocks) ClearNewBlocks(batch.Chunks);
            return batch.Chunks.Count == 0 ? [] : ComputesFew(batch.Chunks) ? ComputeFew(batch.Chunks) : Compute(batch.Chunks);
        }, cancellation);

    /// <summary>
    /// Reference computation: the logits of every token of a prompt in one pass, without cached keys and values, as f32 [tokens,
    /// vocabulary]. All pictures of the prompt must have latents.
    /// </summary>
    public Task<TensorData> LogitsAsync(SequencePrompt prompt, CancellationToken cancellation) => _thread.RunAsync(() =>
    {
        var keys = prompt.Keys.Distinct().ToList();
        using var text = _decoder.NewTextStore((prompt.Ids.Count / Memory.BlockTokens) + 1, Memory.BlockTokens);
        using var pictures = _decoder.NewPictureStore(Math.Max(1, keys.Count), _latents);
        foreach (var (slot, key) in keys.Index()) _decoder.Project(prompt.Latents[key].ToTensor(_transfer, _decoder.Dtype), pictures, slot);
        var slots = prompt.Pictures.Select(picture => picture < 0 ? -1 : keys.IndexOf(prompt.Keys[picture])).ToArray();
        var chunk = new ScheduledChunk(prompt.Ids, 0, [.. Enumerable.Range(0, (prompt.Ids.Count / Memory.BlockTokens) + 1)], slots);
        var step = StepRows.Of([chunk], 1, _latents, null);
        return _decoder.Logits(_decoder.Forward(step, text, pictures, new PlainAttention())).ToData(TensorDtype.Float32);
    }, cancellation);

    public void Dispose()
    {
        _text.Dispose();
        _pictures.Dispose();
        (_attention as IDisposable)?.Dispose();
    }

    // The number of rows is padded to a multiple of this. On the CPU, MKL's f32 products of 1, 2, 3, 5, 6, 7, 9, 10 or 11 rows,
    // and its bf16 products of one row, differ in their last bits from products of any other number of rows, but no result may
    // depend on the other requests of the batch. On a GPU cuBLAS
    // chooses its kernel by the number of rows: in f32, which serves exactness, all products of up to 64 rows use the same kernel.
    private int RowMultiple => (_transfer.Device.type, _decoder.Dtype) switch
    {
        (DeviceType.CPU, ScalarType.Float32) => 4,
        (DeviceType.CPU, _) => 2,
        (_, ScalarType.Float32) => 64,
        _ => 1,
    };

    // Clears the blocks whose first token is among the new ones.
    private void ClearNewBlocks(IReadOnlyList<ScheduledChunk> chunks)
    {
        var blocks = chunks.SelectMany(chunk =>
        {
            var first = (chunk.Start + Memory.BlockTokens - 1) / Memory.BlockTokens;
            var end = (chunk.Start + chunk.Ids.Count + Memory.BlockTokens - 1) / Memory.BlockTokens;
            return chunk.Blocks.Skip(first).Take(end - first).Select(block => (long)block);
        }).ToArray();
        if (blocks.Length > 0) _text.Clear(_transfer.Upload(blocks));
    }

    private List<StepOutput> Compute(IReadOnlyList<ScheduledChunk> chunks)
    {
        var probe = chunks.Any(chunk => chunk.Attention is not null) ? new AttentionProbe(_decoder.GatedBlocks, _heads) : null;
        var hidden = _decoder.Forward(StepRows.Of(chunks, RowMultiple, _latents, probe), _text, _pictures, _attention); // [rows, width]

        var (ends, end) = (new int[chunks.Count], 0);
        foreach (var (index, chunk) in chunks.Index()) ends[index] = end += chunk.Ids.Count;
        var logits = Logits(hidden, [.. chunks.Zip(ends).Where(item => !item.First.OnlyBest)
            .SelectMany(item => Enumerable.Range(item.Second - item.First.LogitRows, item.First.LogitRows))]);
        var best = Best(hidden, [.. chunks.Zip(ends).Where(item => item.First.OnlyBest).Select(item => item.Second - 1)]);
        var scores = Scores(hidden, [.. chunks.Zip(ends)
            .SelectMany(item => item.First.Targets.Select((id, row) => (item.Second - item.First.Targets.Count + row, id)))]);

        var (outputs, logitsRead, bestRead, scoresRead) = (new List<StepOutput>(chunks.Count), 0, 0, 0);
        foreach (var (chunk, last) in chunks.Zip(ends))
        {
            var logitRows = chunk.OnlyBest ? 0 : chunk.LogitRows;
            outputs.Add(new StepOutput(
                logits.GetRange(logitsRead, logitRows),
                scores.GetRange(scoresRead, chunk.Targets.Count),
                chunk.Attention is null ? null : probe!.Of(last - 1))
            {
                Best = chunk.OnlyBest ? best[bestRead++] : null,
            });
            (logitsRead, scoresRead) = (logitsRead + logitRows, scoresRead + chunk.Targets.Count);
        }

        return outputs;
    }

    private bool ComputesFew(IReadOnlyList<ScheduledChunk> chunks) =>
        _fewRows is not null && chunks.Sum(chunk => chunk.Ids.Count) <= _fewRows.MostRows
            && chunks.All(chunk => chunk.Attention is null && chunk.Targets.Count == 0);

    private List<StepOutput> ComputeFew(IReadOnlyList<ScheduledChunk> chunks)
    {
        var (wanted, end) = (new List<int>(), 0);
        foreach (var chunk in chunks)
        {
            end += chunk.Ids.Count;
            var count = chunk.OnlyBest ? 1 : chunk.LogitRows;
            wanted.AddRange(Enumerable.Range(end - count, count));
        }

        _fewRows!.Run(StepRows.Of(chunks, 1, _latents, null), [.. wanted], ParallelWork);
        var (outputs, read) = (new List<StepOutput>(chunks.Count), 0);
        foreach (var chunk in chunks)
        {
            var logits = new List<float[]>();
            for (var row = 0; !chunk.OnlyBest && row < chunk.LogitRows; row++) logits.Add(_fewRows.Logits(read++).ToArray());
            outputs.Add(new StepOutput(logits, [], null) { Best = chunk.OnlyBest ? FewRowDecoder.Best(_fewRows.Logits(read++)) : null });
        }

        return outputs;
    }

    private List<float[]> Logits(Tensor hidden, IReadOnlyList<int> rows)
    {
        if (rows.Count == 0) return [];
        var logits = _transfer.Download(_decoder.Logits(Select(hidden, rows)).to(ScalarType.Float32));      // [rows, vocabulary]
        return [.. Enumerable.Range(0, rows.Count).Select(row => logits[row].data<float>().ToArray())];
    }

    // The most likely id of each row, the lowest id if several are equal; −1 if a logit of the row is not finite.
    private List<int> Best(Tensor hidden, IReadOnlyList<int> rows)
    {
        if (rows.Count == 0) return [];
        var logits = _decoder.Logits(Select(hidden, rows)).slice(0, 0, rows.Count, 1);                      // [rows, vocabulary]
        var ids = logits.argmax(1).masked_fill(logits.isfinite().all(1).logical_not(), Scalars.Of(-1));
        return [.. _transfer.Download(ids).data<long>().Select(id => (int)id)];
    }

    private List<float> Scores(Tensor hidden, IReadOnlyList<(int Row, int Target)> requested)
    {
        var scores = new List<float>(requested.Count);
        foreach (var part in requested.Chunk(MostScoredRows))
        {
            using var scope = NewDisposeScope();
            var likelihoods = _decoder.Logits(Select(hidden, [.. part.Select(item => item.Row)]))               // [part, vocabulary]
                .slice(0, 0, part.Length, 1).to(ScalarType.Float64).log_softmax(-1);
            var targets = _transfer.Upload([.. part.Select(item => (long)item.Target)]).unsqueeze(1);
            scores.AddRange(_transfer.Download(likelihoods.gather(1, targets).to(ScalarType.Float32)).data<float>().ToArray());
        }

        return scores;
    }

    // Selects rows, and repeats the first to reach the row multiple. If all rows are requested in their order, nothing is copied.
    private Tensor Select(Tensor hidden, IReadOnlyList<int> rows)
    {
        var missing = StepRows.Missing(rows.Count, RowMultiple);
        if (rows.Count + missing == hidden.shape[0] && rows.Index().All(item => item.Index == item.Item)) return hidden;
        return hidden.index_select(0, _transfer.Upload([.. rows.Concat(Enumerable.Repeat(rows[0], missing)).Select(row => (long)row)]));
    }
}
