using System.Security.Cryptography;
using System.Text;
using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Execution;
using Flamingo.Stages;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Bench.Peers.Sides;

/// <summary>
/// Our language model stage alone, asked as the gateway asks it. Every prompt begins with a picture whose latents are known, so that the
/// gated blocks compute, and comes from a new tenant, so that nothing of it is found in the prefix cache.
/// </summary>
public sealed class OwnStage : IAsyncDisposable
{
    private const string Word = " of";
    private readonly ServiceProvider _services;
    private readonly ILanguageModel _model;
    private readonly TimeProvider _time;
    private readonly PictureSegment _picture;
    private int _tenants;

    private OwnStage(ServiceProvider services, ILanguageModel model, PictureSegment picture, TimeProvider time) =>
        (_services, _model, _picture, _time) = (services, model, picture, time);

    /// <param name="storage">The value of <c>Model:WeightStorage</c>.</param>
    public static async Task<OwnStage> LoadAsync(
        ModelDirectory directory, string storage, int threads, int seed, TimeProvider time, CancellationToken cancellation)
    {
        var services = new ServiceCollection();
        services.AddSingleton<IConfiguration>(new ConfigurationBuilder().AddInMemoryCollection([
            new("Model:Directory", directory.Path), new("Model:Threads", $"{threads}"), new("Model:Dtype", "bfloat16"),
            new("Model:WeightStorage", storage),
        ]).Build());
        services.AddLogging().AddSingleton(time).AddLanguageModelStage();
        var provider = services.BuildServiceProvider();
        try
        {
            var model = provider.GetRequiredService<ILanguageModel>();
            var description = await model.DescribeAsync(cancellation);
            var random = new Random(seed);
            var values = Enumerable.Range(0, description.Latents * description.LatentWidth)
                .Select(_ => (float)random.NextDouble()).ToArray();
            var latents = TensorData.FromFloats(values, [description.Latents, description.LatentWidth]);
            var picture = new PictureSegment(Digest("a picture"), ChecksummedLatents.Of(latents));
            return new OwnStage(provider, model, picture, time);
        }
        catch
        {
            await provider.DisposeAsync();
            throw;
        }
    }

    /// <summary>The token ids of a prompt of one picture and about this many tokens of text.</summary>
    public async Task<IReadOnlyList<int>> IdsAsync(int tokens, CancellationToken cancellation) =>
        await _model.TokenizeAsync(Segments(tokens), cancellation);

    /// <returns>Tokens per second after the first token of the answer.</returns>
    public async Task<double> DecodeAsync(int promptTokens, int tokens, CancellationToken cancellation)
    {
        var (first, count) = (0L, 0);
        await foreach (var answer in AnswerAsync(promptTokens, tokens + 1, cancellation))
        {
            if (answer is not AnswerTokens some) continue;
            if (count == 0) first = _time.GetTimestamp();
            count += some.Ids.Count;
        }

        return (count - 1) / _time.GetElapsedTime(first).TotalSeconds;
    }

    /// <returns>Prompt tokens per second, until the first token of the answer.</returns>
    public async Task<double> PrefillAsync(int promptTokens, CancellationToken cancellation)
    {
        var started = _time.GetTimestamp();
        var prompt = 0;
        await foreach (var answer in AnswerAsync(promptTokens, 1, cancellation))
            if (answer is AnswerFinished finished) prompt = finished.PromptTokens;
        return prompt / _time.GetElapsedTime(started).TotalSeconds;
    }

    public ValueTask DisposeAsync() => _services.DisposeAsync();

    private IAsyncEnumerable<AnswerEvent> AnswerAsync(int promptTokens, int tokens, CancellationToken cancellation) =>
        _model.GenerateAsync(
            new LanguageModelRequest(Segments(promptTokens), new SamplingParameters { MaxTokens = tokens, Temperature = 0 })
            {
                Tenant = Digest($"tenant {_tenants++}"),
            }, cancellation);

    private PromptSegment[] Segments(int tokens) =>
        [_picture, new TextSegment(string.Concat(Enumerable.Repeat(Word, Math.Max(1, tokens - 1))))];

    private static string Digest(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
}
