using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Network;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.Modeling;
using Flamingo.Stages;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Execution;

/// <summary>Runs the decoder on the inference thread, one step a turn, so that other stages of the process come in between.</summary>
public sealed class TorchModelRunner : IModelRunner, IDisposable
{
    /// <summary>Rows of the widest score matrix: with a large vocabulary it is the largest tensor of all.</summary>
    private const int MostScoredRows = 64;

    private readonly Decoder _decoder;
    private readonly InferenceThread _thread;
    private readonly Device _device;
    private readonly int _heads, _latents;
    private readonly BlockStore _text, _pictures;
    private readonly IBlockAttention _attention;

    /// <param name="heads">Heads of the gated blocks.</param>
    /// <param name="latents">Latents of one picture.</param>
    /// <param name="attention">How rows read the blocks; results must not depend on what else is in the batch.</param>
    public TorchModelRunner(Decoder decoder, ModelMemory memory, int heads, int latents, InferenceThread thread, Device device, IBlockAttention attention)
    {
        (_decoder, Memory, _heads, _latents, _thread, _device, _attention) = (decoder, memory, heads, latents, thread, device, attention);
        _text = decoder.NewTextStore(memory.Blocks, memory.BlockTokens);
        _pictures = decoder.NewPictureStore(memory.PictureSlots, latents);
    }

    public ModelMemory Memory { get; }

    public Task<IReadOnlyList<StepOutput>> RunAsync(ScheduledBatch batch, CancellationToken cancellation) => _thread.RunAsync<IReadOnlyList<StepOutput>>(() =>
    {
        foreach (var (slot, latents) in batch.Projections) _decoder.Project(latents.ToTensor(_device).to(_decoder.Dtype), _pictures, slot);
        foreach (var (from, to) in batch.Copies) _text.Copy(from, to);
        return batch.Chunks.Count == 0 ? [] : Compute(batch.Chunks);
    }, cancellation);

    /// <summary>The plain twin: logits of every token of a prompt in one pass without reuse, f32 [tokens, vocabulary]. Its pictures must all have latents.</summary>
    public Task<TensorData> LogitsAsync(SequencePrompt prompt, CancellationToken cancellation) => _thread.RunAsync(() =>
    {
        var keys = prompt.Keys.Distinct().ToList();
        using var text = _decoder.NewTextStore((prompt.Ids.Count / Memory.BlockTokens) + 1, Memory.BlockTokens);
        using var pictures = _decoder.NewPictureStore(Math.Max(1, keys.Count), _latents);
        foreach (var (slot, key) in keys.Index()) _decoder.Project(prompt.Latents[key].ToTensor(_device).to(_decoder.Dtype), pictures, slot);
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

    // rows are filled up to a multiple of this: MKL's f32 products of 1, 2, 3, 5, 6, 7, 9, 10 or 11 rows, and bf16's of one,
    // differ in their last bits from those of any other number, and nothing may depend on who else is in the batch
    private int RowMultiple => _decoder.Dtype == ScalarType.Float32 ? 4 : 2;

    private List<StepOutput> Compute(IReadOnlyList<ScheduledChunk> chunks)
    {
        var probe = chunks.Any(chunk => chunk.Attention is not null) ? new AttentionProbe(_decoder.GatedBlocks, _heads) : null;
        var hidden = _decoder.Forward(StepRows.Of(chunks, RowMultiple, _latents, probe), _text, _pictures, _attention); // [rows, width]

        var (ends, end) = (new int[chunks.Count], 0);
        foreach (var (index, chunk) in chunks.Index()) ends[index] = end += chunk.Ids.Count;
        var logits = Logits(hidden, [.. chunks.Zip(ends).SelectMany(item => Enumerable.Range(item.Second - item.First.LogitRows, item.First.LogitRows))]);
        var scores = Scores(hidden, [.. chunks.Zip(ends).SelectMany(item => item.First.Targets.Select((id, row) => (item.Second - item.First.Targets.Count + row, id)))]);

        var (outputs, logitsRead, scoresRead) = (new List<StepOutput>(chunks.Count), 0, 0);
        foreach (var (chunk, last) in chunks.Zip(ends))
        {
            outputs.Add(new StepOutput(
                logits.GetRange(logitsRead, chunk.LogitRows), scores.GetRange(scoresRead, chunk.Targets.Count), chunk.Attention is null ? null : probe!.Of(last - 1)));
            (logitsRead, scoresRead) = (logitsRead + chunk.LogitRows, scoresRead + chunk.Targets.Count);
        }

        return outputs;
    }

    private List<float[]> Logits(Tensor hidden, IReadOnlyList<int> rows)
    {
        if (rows.Count == 0) return [];
        var logits = _decoder.Logits(Select(hidden, rows)).to(ScalarType.Float32).cpu();                    // [rows, vocabulary]
        return [.. Enumerable.Range(0, rows.Count).Select(row => logits[row].data<float>().ToArray())];
    }

    private List<float> Scores(Tensor hidden, IReadOnlyList<(int Row, int Target)> wanted)
    {
        var scores = new List<float>(wanted.Count);
        foreach (var part in wanted.Chunk(MostScoredRows))
        {
            using var scope = NewDisposeScope();
            var likelihoods = _decoder.Logits(Select(hidden, [.. part.Select(item => item.Row)])).slice(0, 0, part.Length, 1).to(ScalarType.Float64).log_softmax(-1); // [part, vocabulary]
            var targets = tensor(part.Select(item => (long)item.Target).ToArray(), device: _device).unsqueeze(1);
            scores.AddRange(likelihoods.gather(1, targets).to(ScalarType.Float32).cpu().data<float>().ToArray());
        }

        return scores;
    }

    // filled up with a row that is there anyway
    private Tensor Select(Tensor hidden, IReadOnlyList<int> rows) =>
        hidden.index_select(0, tensor(rows.Concat(Enumerable.Repeat(rows[0], StepRows.Missing(rows.Count, RowMultiple))).Select(row => (long)row).ToArray(), device: _device));
}
