using System.Collections.Concurrent;

namespace Flamingo.LanguageModel.Engine.Tests;

/// <summary>A model that says what the test wrote down: token ids, in order; each step may wait for the test.</summary>
internal sealed class ScriptedRunner(params int[] script) : IModelRunner
{
    public const int Vocabulary = 16;

    private int _live;

    /// <summary>Sequences started and not yet given back.</summary>
    public int Live => Volatile.Read(ref _live);

    /// <summary>Steps run so far.</summary>
    public int Steps { get; private set; }

    public ConcurrentQueue<IReadOnlyList<int>> Started { get; } = new();

    /// <summary>Awaited at the beginning of every step; the number counts from 0 within a sequence.</summary>
    public Func<int, CancellationToken, Task> BeforeStep { get; set; } = (_, _) => Task.CompletedTask;

    /// <summary>May spoil the logits of a step.</summary>
    public Action<int, float[]> Spoil { get; set; } = (_, _) => { };

    public Func<IReadOnlyList<int>, IReadOnlyList<float>> Score { get; set; } = candidate => [.. candidate.Select(id => -(float)id)];

    public Task<IModelSequence> StartAsync(SequencePrompt prompt, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        Interlocked.Increment(ref _live);
        Started.Enqueue(prompt.Ids);
        return Task.FromResult<IModelSequence>(new Sequence(this));
    }

    private async Task<float[]> StepAsync(int step, CancellationToken cancellation)
    {
        Steps++;
        await BeforeStep(step, cancellation);
        cancellation.ThrowIfCancellationRequested();
        var logits = new float[Vocabulary];
        logits[script[Math.Min(step, script.Length - 1)]] = 10;
        Spoil(step, logits);
        return logits;
    }

    private sealed class Sequence(ScriptedRunner runner) : IModelSequence
    {
        private int _step;
        private bool _disposed;

        public Task<float[]> PrefillAsync(CancellationToken cancellation) => runner.StepAsync(_step++, cancellation);

        public Task<float[]> DecodeAsync(int token, CancellationToken cancellation) => runner.StepAsync(_step++, cancellation);

        public async Task<IReadOnlyList<float>> ScoreAsync(IReadOnlyList<int> candidate, CancellationToken cancellation)
        {
            await runner.StepAsync(_step++, cancellation);
            return runner.Score(candidate);
        }

        public ValueTask DisposeAsync()
        {
            if (!_disposed) Interlocked.Decrement(ref runner._live);
            _disposed = true;
            return ValueTask.CompletedTask;
        }
    }
}

/// <summary>One fixed text per id; '~' at an end means that the character is completed by the next id.</summary>
internal sealed class ScriptedText(params string[] texts) : ITokenStream
{
    private string _held = "";

    public string Push(int id)
    {
        var text = _held + (id < texts.Length ? texts[id] : $"[{id}]");
        _held = "";
        if (!text.EndsWith('~')) return text;
        _held = text[..^1];
        return "";
    }

    public string Flush()
    {
        var rest = _held;
        _held = "";
        return rest;
    }
}
