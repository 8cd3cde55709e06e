namespace Flamingo.LanguageModel.Engine.Tests.Scripted;

/// <summary>
/// Runs the scripted model from the contents of its blocks and slots. It reads all previous tokens through the block table, and
/// throws for a cell that was never written or belongs to another position, for a slot without a picture, and for a block that
/// two chunks write.
/// </summary>
internal sealed class ScriptedRunner(int blocks, int blockTokens, int slots) : IModelRunner
{
    private readonly (ulong Cell, int Position)[] _cells = [.. Enumerable.Repeat((0UL, -1), blocks * blockTokens)];
    private readonly ulong[] _slots = new ulong[slots];

    public ModelMemory Memory { get; } = new(blocks, blockTokens, slots);

    /// <summary>Awaited at the beginning of every step, on the engine's own task. It may throw or wait.</summary>
    public Func<ScheduledBatch, CancellationToken, Task> BeforeStep { get; set; } = (_, _) => Task.CompletedTask;

    /// <summary>Number of chunks that are computed before one step fails; null for no failure.</summary>
    public int? ChunksUntilFailure { get; set; }

    /// <summary>The first violation of the engine's contract. The engine itself handles it as a failed step.</summary>
    public Exception? Violation { get; private set; }

    public int Steps { get; private set; }

    public int ComputedTokens { get; private set; }

    public int Projections { get; private set; }

    public int Copies { get; private set; }

    public async Task<IReadOnlyList<StepOutput>> RunAsync(ScheduledBatch batch, CancellationToken cancellation)
    {
        Steps++;
        await BeforeStep(batch, cancellation);
        try
        {
            return Run(batch);
        }
        catch (Exception exception) when (exception is not BreakdownException)
        {
            Violation ??= exception;
            throw;
        }
    }

    private List<StepOutput> Run(ScheduledBatch batch)
    {
        CheckOwners(batch);
        if (ChunksUntilFailure == 0) BreakDown(); // before anything is computed
        foreach (var projection in batch.Projections) _slots[projection.Slot] = ScriptedModel.Project(projection.Latents);
        Projections += batch.Projections.Count;
        Assert.Equal(batch.Projections.Count, batch.Projections.DistinctBy(projection => projection.Slot).Count());

        foreach (var (from, to) in batch.Copies) Array.Copy(_cells, from * blockTokens, _cells, to * blockTokens, blockTokens);
        Copies += batch.Copies.Count;
        return [.. batch.Chunks.Select(Compute)];
    }

    // No other chunk may use a block that a chunk writes, and no copy may read a block that was written before.
    private void CheckOwners(ScheduledBatch batch)
    {
        var copied = batch.Copies.Select(copy => copy.To).ToList();
        Assert.Equal(copied.Count, copied.Distinct().Count());
        Assert.Empty(copied.Intersect(batch.Copies.Select(copy => copy.From)));
        var named = batch.Chunks.SelectMany(chunk => chunk.Blocks)
            .GroupBy(block => block)
            .ToDictionary(group => group.Key, group => group.Count());
        foreach (var chunk in batch.Chunks)
            for (var at = chunk.Start / blockTokens; at * blockTokens < chunk.Start + chunk.Ids.Count; at++)
                Assert.Equal(1, named[chunk.Blocks[at]]);
    }

    private StepOutput Compute(ScheduledChunk chunk)
    {
        if (ChunksUntilFailure == 0) BreakDown();
        ChunksUntilFailure--;
        Assert.NotEmpty(chunk.Ids);
        Assert.Equal(chunk.Ids.Count, chunk.Slots.Count);
        Assert.True(chunk.Targets.Count == 0 || chunk.Targets.Count == chunk.Ids.Count);
        Assert.True(chunk.Blocks.Count * blockTokens >= chunk.Start + chunk.Ids.Count);
        Assert.Equal(chunk.Blocks.Count, chunk.Blocks.Distinct().Count());

        var past = 0UL;
        for (var position = 0; position < chunk.Start; position++)
        {
            var (cell, written) = _cells[At(chunk, position)];
            if (written != position) Assert.Fail($"Position {position} is read where {written} was written.");
            past = ScriptedModel.Read(past, cell);
        }

        var (logits, scores) = (new List<float[]>(), new List<float>());
        for (var row = 0; row < chunk.Ids.Count; row++)
        {
            var (id, position) = (chunk.Ids[row], chunk.Start + row);
            var picture = chunk.Slots[row] < 0 ? ScriptedModel.NoPicture : _slots[chunk.Slots[row]];
            if (chunk.Slots[row] >= 0 && picture == ScriptedModel.NoPicture) Assert.Fail("A slot is read that holds no picture.");
            var cell = ScriptedModel.Cell(past, id, picture, position);
            _cells[At(chunk, position)] = (cell, position);
            past = ScriptedModel.Read(past, cell);
            if (row >= chunk.Ids.Count - chunk.LogitRows) logits.Add(ScriptedModel.Logits(past, id));
            if (chunk.Targets.Count > 0) scores.Add(ScriptedModel.Score(past, id, chunk.Targets[row]));
        }

        ComputedTokens += chunk.Ids.Count;
        var attention = chunk.Attention is not null && chunk.Slots[^1] >= 0 ? ScriptedModel.Attention(past) : null;
        if (!chunk.OnlyBest) return new StepOutput(logits, scores, attention);
        var last = logits[^1];
        return new StepOutput([], scores, attention) { Best = last.All(float.IsFinite) ? last.IndexOf(last.Max()) : -1 };
    }

    private void BreakDown()
    {
        ChunksUntilFailure = null;
        throw new BreakdownException();
    }

    private int At(ScheduledChunk chunk, int position) => (chunk.Blocks[position / blockTokens] * blockTokens) + (position % blockTokens);
}

/// <summary>A failure of the device in the middle of a step, which the test causes.</summary>
internal sealed class BreakdownException() : Exception("The device failed.");
