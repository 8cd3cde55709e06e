using System.Collections.Concurrent;
using Flamingo.Abstractions;
using Flamingo.Client;

namespace Flamingo.SystemTests.Compose;

/// <param name="Begun">Whether a token of the answer had arrived.</param>
internal sealed record FailedRequest(bool Begun, FlamingoErrorKind Kind, string Message);

/// <summary>
/// Workers that send requests without a pause, streams and rankings in alternation, each with new pictures. Every answer is compared with
/// the answer of the original code.
/// </summary>
internal sealed class Load : IAsyncDisposable
{
    private readonly CancellationToken _cancellation;
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Task> _workers;
    private int _streams;
    private int _rankings;

    public Load(FlamingoClient client, ExamplePrompt example, int workers, CancellationToken cancellation)
    {
        _cancellation = cancellation;
        _workers = [.. Enumerable.Range(0, workers)
            .Select(worker => Task.Run(() => WorkAsync(client, example, worker), CancellationToken.None))];
    }

    /// <summary>Numbers of requests that were answered completely.</summary>
    public int Streams => Volatile.Read(ref _streams);

    public int Rankings => Volatile.Read(ref _rankings);

    public ConcurrentQueue<FailedRequest> Failures { get; } = new();

    /// <summary>
    /// Whether this many requests of each kind have been answered. Rethrows the exception of a worker that got a wrong answer.
    /// </summary>
    public async Task<bool> HasAnsweredAsync(int streams, int rankings)
    {
        foreach (var worker in _workers.Where(worker => worker.IsCompleted)) await worker;
        return Streams >= streams && Rankings >= rankings;
    }

    /// <summary>Starts no new requests and waits for the running ones.</summary>
    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_workers);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_workers).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    private async Task WorkAsync(FlamingoClient client, ExamplePrompt example, int worker)
    {
        for (var turn = worker; !_stop.IsCancellationRequested; turn++)
        {
            if (turn % 3 == 0) await RankAsync(client, example.Fresh());
            else await StreamAsync(client, example.Fresh());
        }
    }

    private async Task StreamAsync(FlamingoClient client, ExamplePrompt example)
    {
        var (begun, text) = (false, "");
        try
        {
            await foreach (var item in client.GenerateAsync(example.ToPrompt(), ExamplePrompt.Greedy, _cancellation))
            {
                if (item is not AnswerTokens tokens) continue;
                (begun, text) = (true, text + tokens.Text);
            }

            Assert.Equal(example.Text, text);
            Interlocked.Increment(ref _streams);
        }
        catch (FlamingoException exception)
        {
            Failures.Enqueue(new FailedRequest(begun, exception.Kind, exception.Message));
        }
    }

    private async Task RankAsync(FlamingoClient client, ExamplePrompt example)
    {
        try
        {
            var ranked = await client.RankAsync(example.ToPrompt(), [example.Text, " purple"], _cancellation);
            Assert.Equal(2, ranked.Candidates.Count);
            Assert.True(ranked.Candidates[0].TokenLogLikelihoods.Sum() > ranked.Candidates[1].TokenLogLikelihoods.Sum());
            Interlocked.Increment(ref _rankings);
        }
        catch (FlamingoException exception)
        {
            Failures.Enqueue(new FailedRequest(false, exception.Kind, exception.Message));
        }
    }
}
