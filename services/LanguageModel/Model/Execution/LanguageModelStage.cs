using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Engine.Generation;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.LanguageModel.Network;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Modeling;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Execution;

/// <summary>The language model as a stage: reads a prompt, waits its turn, streams the answer.</summary>
public sealed class LanguageModelStage : ILanguageModel, IDisposable
{
    private readonly TimeProvider _time;
    private readonly ITokenizer _tokenizer;
    private readonly PromptReader _reader;
    private readonly Decoder _decoder;
    private readonly GenerationEngine _engine;

    /// <exception cref="CheckpointException">Weights or tokenizer are missing, damaged or do not fit.</exception>
    public LanguageModelStage(ModelDirectory model, InferenceThread thread, IOptions<LanguageModelOptions> options, IOptions<ModelOptions> modelOptions, TimeProvider time)
    {
        var (config, digest) = (model.Config, model.Config.Weights["language"].Digest);
        _time = time;
        _tokenizer = JsonTokenizer.Load(model.TokenizerPath);
        var device = ModelRuntime.Device(modelOptions.Value);
        using var file = model.OpenWeights("language");
        var weights = new WeightsReader(file, device, ScalarType.Float32);
        _decoder = new Decoder(config.Language, weights, device);
        weights.Finish();
        Runner = new TorchModelRunner(_decoder, thread, device);
        _engine = new GenerationEngine(Runner, new AdmissionQueue(options.Value.MaxQueued, time), config.Tokens.Stop, digest, time);
        Description = new LanguageModelDescription(
            config.ModelId, digest, config.Language.VocabularySize, config.Language.ContextLength, config.Resampler.Latents, config.Language.CrossAttention.LatentWidth,
            config.Tokens.Image.Text, [config.Tokens.Image.Text], config.Tokens.EndOfChunk.Text, options.Value.MaxCandidates);
        _reader = new PromptReader(_tokenizer, config.Tokens, Description);
    }

    public LanguageModelDescription Description { get; }

    /// <summary>The runner itself, for goldens: <see cref="TorchModelRunner.LogitsAsync"/>.</summary>
    public TorchModelRunner Runner { get; }

    public Task<LanguageModelDescription> DescribeAsync(CancellationToken cancellation) => Task.FromResult(Description);

    public Task<IReadOnlyList<int>> TokenizeAsync(IReadOnlyList<PromptSegment> segments, CancellationToken cancellation) => Task.FromResult(_reader.Tokenize(segments));

    public IAsyncEnumerable<GenerationEvent> GenerateAsync(LanguageModelRequest request, CancellationToken cancellation)
    {
        var arrived = _time.GetTimestamp();
        var faults = new List<FieldFault>();
        PromptRules.CheckSampling(request.Sampling, Description, faults);
        var prompt = _reader.Read(request.Segments, request.Sampling.MaxTokens, faults);
        return _engine.GenerateAsync(prompt, request.Sampling, _tokenizer.Stream(), arrived, cancellation);
    }

    public async Task<Ranking> RankAsync(RankRequest request, CancellationToken cancellation)
    {
        var arrived = _time.GetTimestamp();
        var faults = new List<FieldFault>();
        PromptRules.CheckCandidates(request.Candidates, Description, faults);
        var candidates = faults.Count == 0 ? request.Candidates.Select(_tokenizer.Encode).ToArray() : [];
        foreach (var (index, _) in candidates.Index().Where(item => item.Item.Count == 0))
            faults.Add(new($"candidates[{index}]", "The tokenizer leaves nothing of it.", "Send text that has tokens."));
        var longest = candidates.Select(ids => ids.Count).DefaultIfEmpty(0).Max();
        var prompt = _reader.Read(request.Segments, longest, faults);
        foreach (var (index, ids) in candidates.Index().Where(item => prompt.Ids.Count + item.Item.Count > Description.ContextLength))
            faults.Add(new($"candidates[{index}]", $"Its {ids.Count} tokens do not fit behind a prompt of {prompt.Ids.Count}; this model reads {Description.ContextLength}.", "Send fewer or shorter examples."));
        PromptRules.ThrowIfAny(faults);

        var scores = await _engine.RankAsync(prompt, candidates, cancellation);
        var ranked = request.Candidates.Select((text, index) => new RankedCandidate(text, candidates[index], scores.TokenLogLikelihoods[index])).ToList();
        return new Ranking(ranked, prompt.Ids.Count, scores.Prefill, _time.GetElapsedTime(arrived), Description.WeightsDigest);
    }

    public void Dispose() => _decoder.Dispose();
}

public static class LanguageModelRegistration
{
    /// <summary>The language model in this process.</summary>
    public static IServiceCollection AddLanguageModelStage(this IServiceCollection services)
    {
        services.AddModelRuntime();
        services.AddOptions<LanguageModelOptions>().BindConfiguration(LanguageModelOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<ILanguageModel, LanguageModelStage>();
        return services;
    }
}
