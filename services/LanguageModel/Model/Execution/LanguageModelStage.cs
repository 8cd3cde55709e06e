using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Configuration;
using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Engine.Generation;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.LanguageModel.Network;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Modeling.Runtime;
using Flamingo.Modeling.Weights;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using static TorchSharp.torch;
using DeviceType = TorchSharp.DeviceType;

namespace Flamingo.LanguageModel.Execution;

/// <summary>The language model as a stage: it tokenizes a prompt, passes it to the engine and streams the answer.</summary>
public sealed class LanguageModelStage : ILanguageModel, IAsyncDisposable, IDisposable
{
    // This many candidates use the rows of a step well. Each needs one or two blocks after the shared prompt.
    private const int MostCandidatesAtOnce = 64;

    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly TokensConfig _tokens;
    private readonly JsonTokenizer _tokenizer;
    private readonly PromptReader _reader;
    private readonly Decoder _decoder;
    private readonly GenerationEngine _engine;
    private readonly int _maxRankTokens;

    /// <exception cref="CheckpointException">
    /// Weights or tokenizer are missing, damaged or do not fit the model, or the memory options are too small for one block or picture.
    /// </exception>
    public LanguageModelStage(
        ModelDirectory model, InferenceThread thread, IOptions<LanguageModelOptions> options, IOptions<ModelOptions> modelOptions,
        TimeProvider time,
        ILoggerFactory? logs = null)
    {
        _log = (logs ?? NullLoggerFactory.Instance).CreateLogger<LanguageModelStage>();
        var (config, limits) = (model.Config, options.Value);
        (_time, _tokens, _maxRankTokens) = (time, config.Tokens, limits.MaxRankTokens);
        _tokenizer = JsonTokenizer.Load(model.TokenizerPath);
        if (_tokenizer.Size > config.Language.VocabularySize)
            throw new CheckpointException($"{model.TokenizerPath} has ids up to {_tokenizer.Size - 1}, but the model's embeddings have "
                + $"{config.Language.VocabularySize} rows, so the two do not belong together. Import the checkpoint again.");
        var device = ModelRuntime.Device(modelOptions.Value, limits.Device);
        var (dtype, storage) = (ModelRuntime.Dtype(modelOptions.Value), ModelRuntime.Storage(modelOptions.Value));
        using var file = model.OpenWeights("language");
        var plan = MemoryPlan.Make(config, file, limits, dtype, storage);
        var weights = new WeightsReader(file, device, dtype, storage, thread.Team);
        _decoder = new Decoder(config.Language, weights, device);
        weights.Finish();
        var cross = config.Language.CrossAttention;
        IBlockAttention attention = device.type == DeviceType.CPU
            ? new PagedAttention(thread.Team)
            : new BatchedAttention(_decoder.Transfer);
        Runner = new TorchModelRunner(_decoder, plan.Memory, cross.Heads, config.Resampler.Latents, thread, attention);
        var digest = ComputedDigest.Of(config.Weights["language"].Digest, dtype, storage);
        _engine = new GenerationEngine(
            Runner, new EngineLimits(
                limits.MaxQueued, limits.MaxSequences, limits.PrefillChunk, limits.PrefillChunkBesideDecoding, MostCandidatesAtOnce)
            {
                WriteStallTimeout = limits.WriteStallTimeout,
            },
            config.Tokens.Stop, digest, time, logs?.CreateLogger<GenerationEngine>(), config.ModelId);
        Description = new LanguageModelDescription(
            config.ModelId, digest, config.Language.VocabularySize, config.Language.ContextLength, config.Resampler.Latents,
            cross.LatentWidth,
            config.Tokens.Image.Text, [
                .. new[] { config.Tokens.Image, config.Tokens.AroundImage }.OfType<SpecialToken>().Select(token => token.Text)
            ], config.Tokens.EndOfChunk.Text, limits.MaxCandidates)
        {
            CrossAttentionLayers = cross.Layers.Count, CrossAttentionHeads = cross.Heads, MaxSamples = Math.Min(
                limits.MaxSamples, limits.MaxSequences), MaxPin = limits.MaxPin,
            SpecialTokens = _tokenizer.SpecialTokens, Prompts = ModelPrompts.Read(model),
        };
        _reader = new PromptReader(_tokenizer, config.Tokens, Description);
        _log.StageReady("language model", device, digest);
        _log.MemoryPlanned(
            Description.ContextLength, plan.Memory.Blocks, plan.Memory.BlockTokens, plan.Memory.PictureSlots, limits.MaxSequences,
            limits.MaxQueued);
    }

    public LanguageModelDescription Description { get; }

    /// <summary>The model runner. Golden tests call its <see cref="TorchModelRunner.LogitsAsync"/>.</summary>
    public TorchModelRunner Runner { get; }

    /// <summary>What the engine held and had computed after its last step.</summary>
    public EngineStatistics Statistics => _engine.Statistics;

    /// <inheritdoc cref="GenerationEngine.Worker"/>
    public Worker Worker => _engine.Worker;

    public Task<LanguageModelDescription> DescribeAsync(CancellationToken cancellation) => Task.FromResult(Description);

    public Task<IReadOnlyList<int>> TokenizeAsync(IReadOnlyList<PromptSegment> segments, CancellationToken cancellation) =>
        Task.FromResult(_reader.Tokenize(segments));

    public IAsyncEnumerable<AnswerEvent> GenerateAsync(LanguageModelRequest request, CancellationToken cancellation)
    {
        try
        {
            return Generate(request, cancellation);
        }
        catch (FlamingoException refusal)
        {
            _log.RequestRefused(refusal.Message);
            throw;
        }
    }

    public async Task<Ranking> RankAsync(RankRequest request, CancellationToken cancellation)
    {
        try
        {
            return await RankAllAsync(request, cancellation);
        }
        catch (FlamingoException refusal) when (refusal.Kind == FlamingoErrorKind.InvalidArgument)
        {
            _log.RequestRefused(refusal.Message);
            throw;
        }
    }

    private IAsyncEnumerable<AnswerEvent> Generate(LanguageModelRequest request, CancellationToken cancellation)
    {
        var arrived = _time.GetTimestamp();
        var faults = new FaultList();
        CheckTenant(request.Tenant, faults);
        PromptRules.CheckSampling(request.Sampling, Description, faults);
        PromptRules.CheckAttention(request.Attention, request.Sampling, Description, faults);
        PromptRules.CheckPin(request.PinPrefix, Description, faults);
        if (request.Sampling.AllowedTokens.Count is > 0 and var allowed && allowed <= Description.VocabularySize
            && !request.Sampling.AllowedTokens.Except(_tokens.Banned).Any())
            faults.Add(
                new("sampling.allowed_tokens", "This model never generates any of these tokens, because they are picture markers.",
                    "Allow other tokens."));
        var prompt = _reader.Read(request.Segments, request.Sampling.MaxTokens, faults);
        return _engine.GenerateAsync(
            prompt, WithoutBanned(request.Sampling), request.Attention, _tokenizer.Stream,
            new RequestTerms(request.Tenant, request.PinPrefix, arrived), cancellation);
    }

    private async Task<Ranking> RankAllAsync(RankRequest request, CancellationToken cancellation)
    {
        var arrived = _time.GetTimestamp();
        var faults = new FaultList();
        CheckTenant(request.Tenant, faults);
        PromptRules.CheckCandidates(request.Candidates, Description, faults);
        PromptRules.CheckPin(request.PinPrefix, Description, faults);
        var prompt = _reader.Read(request.Segments, answerTokens: 0, faults);
        var candidates = Tokenize(request.Candidates, prompt);
        foreach (var (index, _) in candidates.Index().Where(item => item.Item.Count == 0))
            faults.Add(new($"candidates[{index}]", "The text has no tokens.", "Send text that has at least one token."));
        foreach (var (index, ids) in candidates.Index().Where(item => prompt.Ids.Count + item.Item.Count > Description.ContextLength))
            faults.Add(
                new($"candidates[{index}]", $"Its {ids.Count} tokens do not fit after a prompt of {prompt.Ids.Count} tokens; this model "
                    + $"reads at most {Description.ContextLength}.", "Send fewer or shorter examples."));
        PromptRules.ThrowIfAny(faults);

        var scored = candidates.Select(ids => new Candidate(ids, SeenPictures.Behind(prompt, ids, _tokens))).ToList();
        var scores = await _engine.RankAsync(prompt, scored, new RequestTerms(request.Tenant, request.PinPrefix, arrived), cancellation);
        var ranked =
            request.Candidates.Select((text, index) => new RankedCandidate(text, candidates[index], scores.TokenLogLikelihoods[index]))
            .ToList();
        return new Ranking(
            ranked, prompt.Ids.Count, scores.Prefill, _time.GetElapsedTime(arrived),
            Description.WeightsDigest) { CachedTokens = scores.CachedTokens };
    }

    // The tokens of each candidate behind the prompt. It stops as soon as they are too many.
    private List<IReadOnlyList<int>> Tokenize(IReadOnlyList<string> texts, SequencePrompt prompt)
    {
        var (candidates, tokens) = (new List<IReadOnlyList<int>>(texts.Count), (long)prompt.Ids.Count);
        foreach (var text in texts)
        {
            candidates.Add(_tokenizer.EncodeBehind(prompt.Ids[^1], text));
            tokens += candidates[^1].Count;
            if (tokens > _maxRankTokens)
                throw FlamingoException.Invalid(
                    "candidates",
                    $"The prompt's {prompt.Ids.Count} tokens and those of the first {candidates.Count} of {texts.Count} candidates are "
                    + $"more than {_maxRankTokens}.", "Send fewer or shorter candidates, or raise LanguageModel:MaxRankTokens.");
        }

        return candidates;
    }

    // The digest separates tenants, so it must not be a text that somebody chose.
    private static void CheckTenant(string tenant, FaultList faults)
    {
        if (tenant.Length > 0 && !PictureId.IsWellFormed(tenant))
            faults.Add(new("tenant", "This is not the digest of a tenant.", "Send 64 lowercase hexadecimal characters, or nothing."));
    }

    private SamplingParameters WithoutBanned(SamplingParameters sampling) => _tokens.Banned.Count == 0
        ? sampling
        : sampling with { LogitBias = sampling.LogitBias.Where(bias => !_tokens.Banned.Contains(bias.Key))
            .Concat(_tokens.Banned.Select(id => KeyValuePair.Create(id, float.NegativeInfinity))).ToDictionary() };

    public async ValueTask DisposeAsync()
    {
        await _engine.DisposeAsync();
        Runner.Dispose();
        _decoder.Dispose();
    }

    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();
}

public static class LanguageModelRegistration
{
    /// <summary>Adds the language model stage that runs in this process.</summary>
    public static IServiceCollection AddLanguageModelStage(this IServiceCollection services)
    {
        services.AddModelRuntime();
        services.AddOptionSection<LanguageModelOptions>(LanguageModelOptions.Section);
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(MemoryClaimOf);
        services.AddSingleton<ILanguageModel, LanguageModelStage>();
        // The stage is resolved by its interface, because a provider would dispose it twice if it were registered twice.
        services.AddSingleton(provider => new WorkerGroup(
            provider.GetRequiredService<ILanguageModel>() is LanguageModelStage stage ? [stage.Worker] : []));
        return services;
    }

    private static MemoryClaim MemoryClaimOf(IServiceProvider provider)
    {
        var (model, options) = (provider.GetRequiredService<ModelDirectory>(), provider.GetRequiredService<IOptions<ModelOptions>>().Value);
        var limits = provider.GetRequiredService<IOptions<LanguageModelOptions>>().Value;
        using var file = model.OpenWeights("language");
        var plan = MemoryPlan.Make(model.Config, file, limits, ModelRuntime.Dtype(options), ModelRuntime.Storage(options));
        return plan.MemoryClaim with { Device = ModelRuntime.DeviceName(options, limits.Device) };
    }
}
