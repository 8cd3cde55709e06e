using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.Testing;

namespace Flamingo.Transport.Tests.Serving;

/// <summary>A language model whose stream a test scripts, and which records its requests.</summary>
internal sealed class ScriptedLanguageModel : ILanguageModel
{
    public required Func<LanguageModelRequest, CancellationToken, IAsyncEnumerable<AnswerEvent>> Script { get; init; }

    public LanguageModelRequest? Asked { get; private set; }

    public TaskCompletionSource Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task<LanguageModelDescription> DescribeAsync(CancellationToken cancellation) => Task.FromResult(Records.Language);

    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(LanguageModelRequest request,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        Asked = request;
        try
        {
            await foreach (var item in Script(request, cancellation)) yield return item;
        }
        finally
        {
            Ended.TrySetResult();
        }
    }

    public Task<Ranking> RankAsync(RankRequest request, CancellationToken cancellation) => Task.FromResult(new Ranking(
        [.. request.Candidates.Select(text => new RankedCandidate(text, [text.Length], [-text.Length]))], request.Segments.Count,
        TimeSpan.Zero, TimeSpan.Zero, "l1"));

    public Task<IReadOnlyList<int>> TokenizeAsync(IReadOnlyList<PromptSegment> segments, CancellationToken cancellation) =>
        throw new InvalidOperationException("a secret of the server");

    /// <summary>Generates one token and then waits until the caller cancels.</summary>
    public static async IAsyncEnumerable<AnswerEvent> Endless(LanguageModelRequest request,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        yield return new AnswerTokens("a", [1]);
        await Task.Delay(Timeout.InfiniteTimeSpan, cancellation);
    }
}

/// <summary>A resampler that returns the features that it was given.</summary>
internal sealed class EchoResampler : IResampler
{
    public Task<ResamplerDescription> DescribeAsync(CancellationToken cancellation) => Task.FromResult(Records.Resampler);

    public Task<Resampling> ResampleAsync(ResampleRequest request,
        CancellationToken cancellation) =>
            Task.FromResult(new Resampling("r1", request.Features, request.IncludeAttention ? request.Features : []));
}
