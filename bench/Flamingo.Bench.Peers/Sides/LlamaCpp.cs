using LLama;
using LLama.Common;
using LLama.Native;

namespace Flamingo.Bench.Peers.Sides;

/// <summary>llama.cpp, through LLamaSharp, with one loaded GGUF file. It computes on the calling thread and its own threads.</summary>
public sealed class LlamaCpp : IDisposable
{
    private const int Sequence = 0;
    private static int _silenced;
    private readonly LLamaWeights _weights;
    private readonly LLamaContext _context;
    private readonly LLamaBatch _batch = new();
    private readonly TimeProvider _time;

    /// <param name="longest">Most tokens of a prompt and its answer together.</param>
    public LlamaCpp(string path, int threads, int longest, TimeProvider time)
    {
        // llama.cpp writes some hundred lines about each file to standard error.
        if (Interlocked.Exchange(ref _silenced, 1) == 0) NativeLibraryConfig.All.WithLogCallback((_, _) => { });
        _time = time;
        var parameters = new ModelParams(path)
        {
            ContextSize = (uint)((longest + 255) / 256 * 256), BatchSize = 512, UBatchSize = 512, GpuLayerCount = 0, Threads = threads,
            BatchThreads = threads,
        };
        _weights = LLamaWeights.LoadFromFile(parameters);
        _context = _weights.CreateContext(parameters);
    }

    /// <summary>Computes a prompt in one batch, and then greedily the tokens of its answer.</summary>
    /// <returns>Tokens per second of the steps after the prompt's.</returns>
    public double Decode(IReadOnlyList<int> prompt, int tokens)
    {
        Compute(prompt);
        var next = Best();
        var started = _time.GetTimestamp();
        for (var token = 0; token < tokens; token++)
        {
            Step([next], prompt.Count + token);
            next = Best();
        }

        return tokens / _time.GetElapsedTime(started).TotalSeconds;
    }

    /// <summary>Computes a prompt in one batch, up to the most likely next token.</summary>
    /// <returns>Prompt tokens per second.</returns>
    public double Prefill(IReadOnlyList<int> prompt)
    {
        var started = _time.GetTimestamp();
        Compute(prompt);
        Best();
        return prompt.Count / _time.GetElapsedTime(started).TotalSeconds;
    }

    public void Dispose()
    {
        _context.Dispose();
        _weights.Dispose();
    }

    private void Compute(IReadOnlyList<int> prompt)
    {
        _context.NativeHandle.MemoryClear();
        foreach (var (index, part) in prompt.Chunk(512).Index()) Step(part, index * 512);
    }

    private void Step(IReadOnlyList<int> ids, int first)
    {
        _batch.Clear();
        for (var row = 0; row < ids.Count; row++) _batch.Add(ids[row], first + row, (LLamaSeqId)Sequence, logits: row == ids.Count - 1);
        var result = _context.Decode(_batch);
        if (result != DecodeResult.Ok) throw new InvalidOperationException($"llama.cpp refused {ids.Count} tokens: {result}.");
    }

    private int Best()
    {
        var logits = _context.NativeHandle.GetLogitsIth(_batch.TokenCount - 1);
        return System.Numerics.Tensors.TensorPrimitives.IndexOfMax<float>(logits);
    }
}
