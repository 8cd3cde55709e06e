using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Generation;
using Flamingo.Stages;
using Microsoft.Extensions.Logging.Testing;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.LanguageModel.Engine.Tests.Scripted;

/// <summary>An engine whose steps the test runs one by one, with every batch that it computed.</summary>
internal sealed class SteppedEngine
{
    /// <param name="model">Name of the model in metrics; null measures nothing.</param>
    public SteppedEngine(int blocks = 64, int blockTokens = 4, int slots = 8, EngineLimits? limits = null, string? model = null)
    {
        Limits = limits ?? new EngineLimits(
            MaxQueued: 16, MaxSequences: 16, PrefillChunk: 64, PrefillChunkBesideDecoding: 64, MaxCandidatesAtOnce: 4);
        Runner = new ScriptedRunner(blocks, blockTokens, slots);
        Runner.BeforeStep = (batch, _) =>
        {
            Batches.Add(batch);
            return Task.CompletedTask;
        };
        Metrics = model is null ? null : new EngineMetrics(() => Now, model, Runner.Memory, Time);
        Engine = new StepEngine(Runner, Limits, Time, Log, Metrics);
    }

    public EngineLimits Limits { get; }

    public ScriptedRunner Runner { get; }

    public FakeTimeProvider Time { get; } = new();

    public StepEngine Engine { get; }

    public EngineMetrics? Metrics { get; }

    /// <summary>The log messages of the engine.</summary>
    public FakeLogger Log { get; } = new();

    public List<ScheduledBatch> Batches { get; } = [];

    public EngineStatistics Now => Engine.Statistics;

    public TrackedRequest Ask(
        string text, int answer = 8, SamplingParameters? sampling = null, string tenant = "", TimeSpan? pin = null, bool latents = true,
        AttentionChoice? attention = null)
    {
        var terms = Prompts.Terms(tenant, pin) with { Arrived = Time.GetTimestamp() };
        var request = new TrackedRequest(Prompts.Of(text, answer, latents), terms, sampling ?? Endless, Time, attention);
        Engine.Submit(request.Request);
        return request;
    }

    public TrackedRequest Rank(string text, params string[] candidates)
    {
        var request = new TrackedRequest(
            Prompts.Of(text), Prompts.Terms(), [.. candidates.Select(candidate => candidate.Select(letter => letter - 'a').ToArray())],
            Limits.MaxCandidatesAtOnce, Runner.Memory, Time);
        Engine.Submit(request.Request);
        return request;
    }

    /// <summary>Answers that end only at their full length, without a token after which no picture is attended to.</summary>
    public static SamplingParameters Endless { get; } = new() { AllowedTokens = [0, 1, 2, 3, 4, 5, 6, 7] };

    /// <returns>The batch of the step.</returns>
    public async Task<ScheduledBatch> StepAsync()
    {
        Assert.True(await Engine.StepAsync(default), "There was nothing to compute.");
        Check();
        return Batches[^1];
    }

    /// <summary>Steps until there is nothing to compute.</summary>
    public async Task RunAsync()
    {
        for (var steps = 0; await Engine.StepAsync(default); steps++) Assert.True(steps < 1000);
        Check();
    }

    private void Check()
    {
        if (Runner.Violation is not null) Assert.Fail(Runner.Violation.ToString());
        Assert.Equal(Runner.Memory.Blocks, Now.FreeBlocks + Now.LeasedBlocks + Now.CachedBlocks);
    }
}
