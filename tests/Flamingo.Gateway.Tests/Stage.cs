using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Stages;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Tests;

/// <summary>Three scripted stages behind a real pipeline. They count calls, can be made to wait at a gate, and can fail.</summary>
internal sealed class Stage : IVisionEncoder, IResampler, ILanguageModel
{
    public VisionEncoderDescription Vision { get; set; } = new("v", "vision-1", "pre-1", 8, 4, 6, 3, TensorDtype.Float32, 1000, 100, 4);

    public ResamplerDescription Resampler { get; set; } = new("r", "resampler-1", 6, 2, 5, 1, TensorDtype.Float32, 4);

    public LanguageModelDescription Language { get; set; } =
        new("l", "language-1", 50, 40, 2, 5, "<image>", ["<image>"], "<|endofchunk|>", 8)
    {
        CrossAttentionLayers = 3, CrossAttentionHeads = 2, MaxSamples = 4, MaxPin = TimeSpan.FromMinutes(1),
    };

    /// <summary>Digest that answers report, if it differs from the description.</summary>
    public string? VisionAnswers { get; set; }

    public Exception? DescribeFails { get; set; }

    /// <summary>Exception that the language model throws for a prompt.</summary>
    public FlamingoException? PromptFails { get; set; }

    public int Describes;

    public int SeedsDrawn;

    /// <summary>Number of pictures in each call of the vision encoder.</summary>
    public ConcurrentQueue<int> Encodes { get; } = new();

    public ConcurrentQueue<VisualInput> Inputs { get; } = new();

    /// <summary>Whether attention was requested, for each resampled picture.</summary>
    public ConcurrentQueue<bool> Resamples { get; } = new();

    /// <summary>Prompts of all calls, including refused ones.</summary>
    public ConcurrentQueue<IReadOnlyList<PromptSegment>> Prompts { get; } = new();

    /// <summary>Keys whose latents the language model has received and holds.</summary>
    public ConcurrentDictionary<string, bool> Held { get; } = new();

    /// <summary>Whether the language model keeps nothing and reports even latents that it was sent as missing.</summary>
    public bool Forgets { get; set; }

    /// <summary>Whether it names only the first missing latents, as over gRPC, where an error has no room for many.</summary>
    public bool NamesFew { get; set; }

    /// <summary>Returns the log-likelihood of every candidate after a prompt.</summary>
    public Func<IReadOnlyList<PromptSegment>, float> Score { get; set; } = _ => -1;

    /// <summary>Returns the log-likelihoods of one candidate's tokens; overrides <see cref="Score"/>.</summary>
    public Func<string, IReadOnlyList<float>>? ScoresOf { get; set; }

    /// <summary>Texts of the token events of an answer. The last text belongs to the last sample.</summary>
    public IReadOnlyList<string> Says { get; set; } = ["a ", "dog"];

    public LanguageModelRequest? Asked { get; private set; }

    public RankRequest? Ranked { get; private set; }

    public SamplingParameters? Sampling => Asked?.Sampling;

    /// <summary>Log messages of the gateways that use these stages.</summary>
    public ConcurrentQueue<LoggedEvent> Logged { get; } = new();

    /// <summary>Encode signals <see cref="Encoding"/> and then waits for this task.</summary>
    public Task Gate { get; set; } = Task.CompletedTask;

    /// <summary>
    /// A cancelled Encode waits for this task before it ends, as a stage does that cannot stop in the middle of a picture.
    /// </summary>
    public Task Ending { get; set; } = Task.CompletedTask;

    /// <summary>Number of calls of Encode that were cancelled.</summary>
    public int Cancelled;

    public TaskCompletionSource Encoding { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Replaces services of the gateway.</summary>
    public Action<IServiceCollection> Replace { get; set; } = _ => { };

    /// <summary>A picture that begins with 255 cannot be decoded.</summary>
    public const byte Broken = 255;

    Task<VisionEncoderDescription> IVisionEncoder.DescribeAsync(CancellationToken cancellation)
    {
        Interlocked.Increment(ref Describes);
        return DescribeFails is { } failure ? Task.FromException<VisionEncoderDescription>(failure) : Task.FromResult(Vision);
    }

    Task<ResamplerDescription> IResampler.DescribeAsync(CancellationToken cancellation) => Task.FromResult(Resampler);

    Task<LanguageModelDescription> ILanguageModel.DescribeAsync(CancellationToken cancellation) => Task.FromResult(Language);

    public async Task<VisionEncoding> EncodeAsync(VisionEncodeRequest request, CancellationToken cancellation)
    {
        Encodes.Enqueue(request.Pictures.Count);
        foreach (var picture in request.Pictures) Inputs.Enqueue(picture);
        Encoding.TrySetResult();
        try
        {
            await Gate.WaitAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            Interlocked.Increment(ref Cancelled);
            await Ending;
            throw;
        }

        PromptRules.ThrowIfAny([.. request.Pictures.Index().Where(picture => picture.Item.Files[0].Span[0] == Broken)
            .Select(picture => new FieldFault($"pictures[{picture.Index}]", "It cannot be decoded.", "Send a PNG."))]);
        return new VisionEncoding(VisionAnswers ?? Vision.WeightsDigest, [.. request.Pictures.Select(picture => new PictureFeatures(
            TensorData.FromFloats([.. Enumerable.Repeat((float)picture.Files[0].Span[0], 24)], 1, 4, 6),
            request.IncludePooled ? TensorData.FromFloats([picture.Files[0].Span[0], 0, 0], 3) : null))]);
    }

    public Task<VisionEncoderStatistics> GetStatisticsAsync(CancellationToken cancellation) =>
        Task.FromResult(new VisionEncoderStatistics(Encodes.Sum(), Encodes.Sum(), Encodes.Count));

    public Task<Resampling> ResampleAsync(ResampleRequest request, CancellationToken cancellation)
    {
        if (request.Features.Any(item => item.Shape[^1] != Resampler.FeatureWidth))
            throw FlamingoException.Invalid("features[0]", "The features are too wide.", "Send narrower features.");
        foreach (var _ in request.Features) Resamples.Enqueue(request.IncludeAttention);
        return Task.FromResult(new Resampling(
            Resampler.WeightsDigest,
            [.. request.Features.Select(item =>
                TensorData.FromFloats([.. Enumerable.Repeat(item.ToFloats()[0], Resampler.Latents * Resampler.Width)], Resampler.Latents,
                    Resampler.Width))],
            request.IncludeAttention ? [.. request.Features.Select(
                _ => TensorData.FromFloats([1, 0, 0, 0, 0, 0.25f, 0.25f, 0.5f], 2, 4))] : []));
    }

    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(LanguageModelRequest request,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        Take(request.Segments);
        Asked = request;
        await Task.Yield();
        var last = request.Segments.Count(segment => segment is PictureSegment) - 1;
        TokenAttention? Seen(float first) => last < 0 ? null : new TokenAttention(last, TensorData.FromFloats([first, 1 - first], 2));
        foreach (var text in Says.Take(Says.Count - 2)) yield return new AnswerTokens(text, [1]);
        yield return new AnswerTokens(Says[^2],
            [1]) { LogProbabilities = [new(1, -0.5f, [(1, -0.5f)])], Attention = request.Attention is null ? [] : [Seen(0)] };
        yield return new AnswerTokens(Says[^1],
            [2, 3]) { Sample = request.Sampling.Samples - 1, Attention = request.Attention is null ? [] : [Seen(1), Seen(0.5f)] };
        yield return AnswerFinished.OfLanguageModel(FinishReason.Stop, 7, 3, TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(2),
            TimeSpan.FromMilliseconds(3), Language.WeightsDigest) with
        {
            CachedTokens = 5, Samples = [.. Enumerable.Range(0, request.Sampling.Samples)
                .Select(sample => new FinishedSample(FinishReason.Stop, sample, null))],
        };
    }

    private void Take(IReadOnlyList<PromptSegment> segments)
    {
        Prompts.Enqueue(segments);
        var pictures = segments.OfType<PictureSegment>().ToList();
        foreach (var picture in pictures.Where(picture => picture.Latents is not null)) Held[picture.Key] = true;
        var missing = pictures.Select(picture => picture.Key).Where(key => Forgets || !Held.ContainsKey(key)).Distinct().ToList();
        if (missing.Count > 0)
            throw new FlamingoException(FlamingoErrorKind.LatentsMissing, "Send the latents.")
            {
                Missing = NamesFew ? [missing[0]] : missing, IsAnyMissing = NamesFew,
            };
        if (PromptFails is not null) throw PromptFails;
    }

    public Task<Ranking> RankAsync(RankRequest request, CancellationToken cancellation)
    {
        Take(request.Segments);
        Ranked = request;
        return Task.FromResult(new Ranking(
            [.. request.Candidates.Select(
                text =>
                    ScoresOf?.Invoke(text) is { } scores ? new RankedCandidate(text, [.. scores.Select(_ => 1)], scores)
                        : new RankedCandidate(text, [1], [Score(request.Segments)]))], 5, TimeSpan.Zero, TimeSpan.Zero,
                        Language.WeightsDigest) { CachedTokens = 3 });
    }

    public Task<IReadOnlyList<int>> TokenizeAsync(IReadOnlyList<PromptSegment> segments, CancellationToken cancellation) =>
        throw new NotSupportedException();

    /// <summary>Creates the gateway's services as a host does, with these stages.</summary>
    public ServiceProvider Services(params (string Key, string Value)[] settings)
    {
        var services = new ServiceCollection();
        services.AddSingleton<IConfiguration>(
            new ConfigurationBuilder().AddInMemoryCollection(
                settings.Select(setting => KeyValuePair.Create(setting.Key, (string?)setting.Value))).Build());
        services.AddSingleton<IVisionEncoder>(this).AddSingleton<IResampler>(this).AddSingleton<ILanguageModel>(this);
        services.AddLogging(logging => logging.SetMinimumLevel(LogLevel.Trace).AddProvider(new CollectedLogs(Logged)));
        services.AddSingleton<ISeedSource>(new FixedSeed(this));
        services.AddGatewayPipeline();
        Replace(services);
        return services.BuildServiceProvider();
    }

    private sealed class FixedSeed(Stage stage) : ISeedSource
    {
        public ulong Next()
        {
            Interlocked.Increment(ref stage.SeedsDrawn);
            return 4711;
        }
    }
}

internal static class Asking
{
    public static FlamingoPicture Picture(params byte[] file) => new(file);

    public static async Task<List<AnswerEvent>> AskAsync(this IFlamingo flamingo, params FlamingoSegment[] segments) =>
        await flamingo.GenerateAsync(new FlamingoRequest(segments, new SamplingParameters { MaxTokens = 4 }),
            TestContext.Current.CancellationToken).ToListAsync();

    public static async Task<IEnumerable<PictureSource>> SourcesAsync(this IFlamingo flamingo, params FlamingoSegment[] segments) =>
        ((PicturesResolved)(await flamingo.AskAsync(segments))[0]).Pictures.Select(picture => picture.Source);
}
