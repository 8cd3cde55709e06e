using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Flamingo.Abstractions;
using Polly;
using Polly.Retry;

namespace Flamingo.Evaluation.Sending;

/// <summary>How many requests are sent at once, and how long a server may be away.</summary>
/// <param name="InFlight">Requests that wait for their answer at the same time, at least 1.</param>
/// <param name="Patience">
/// How long one request is sent again while the server refuses it as overloaded or cannot be reached, counted from its first refusal: an
/// answer that takes longer than this must still survive a restart of the server.
/// </param>
public sealed record SendingOptions(int InFlight, TimeSpan Patience)
{
    public static SendingOptions Default { get; } = new(16, TimeSpan.FromMinutes(5));
}

/// <summary>A request that was answered, or failed for good.</summary>
/// <param name="Answer">Default where <see cref="Failure"/> is not null.</param>
public sealed record Sent<TRequest, TAnswer>(TRequest Request, TAnswer? Answer, FlamingoException? Failure);

/// <summary>
/// Asks many requests of one model or server, several at a time. A refusal for overload waits as long as the server asks, and a server
/// that is away is waited for, so that its restart loses nothing. The input is read only as far ahead as requests are sent.
/// </summary>
public sealed class RequestSender
{
    private static readonly TimeSpan ShortestWait = TimeSpan.FromMilliseconds(100), LongestWait = TimeSpan.FromSeconds(5);
    private static readonly ResiliencePropertyKey<long> Refused = new("first refused");

    private readonly SendingOptions _options;
    private readonly TimeProvider _time;
    private readonly ResiliencePipeline _pipeline;

    /// <param name="retrying">Called before each wait, for example to show that the server is away; null for nobody.</param>
    public RequestSender(SendingOptions options, TimeProvider time, Action<FlamingoException, TimeSpan>? retrying = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.InFlight, 1);
        (_options, _time) = (options, time);
        _pipeline = new ResiliencePipelineBuilder { TimeProvider = time }.AddRetry(new RetryStrategyOptions
        {
            MaxRetryAttempts = int.MaxValue,
            ShouldHandle = attempt => ValueTask.FromResult(
                attempt.Outcome.Exception is FlamingoException refusal && PassesAway(refusal.Kind) && IsPatient(attempt.Context)),
            DelayGenerator = attempt => ValueTask.FromResult<TimeSpan?>(Wait(attempt.Outcome.Exception, attempt.AttemptNumber)),
            OnRetry = attempt =>
            {
                if (attempt.Outcome.Exception is FlamingoException refusal) retrying?.Invoke(refusal, attempt.RetryDelay);
                return default;
            },
        }).Build();
    }

    /// <summary>Sends the requests and returns each with its answer, in the order in which the answers come.</summary>
    /// <param name="ask">Makes one call. Other exceptions than <see cref="FlamingoException"/> end the whole.</param>
    public IAsyncEnumerable<Sent<TRequest, TAnswer>> SendAsync<TRequest, TAnswer>(
        IEnumerable<TRequest> requests, Func<TRequest, CancellationToken, Task<TAnswer>> ask, CancellationToken cancellation = default) =>
        SendAsync(requests.ToAsyncEnumerable(), ask, cancellation);

    /// <summary>Sends requests that may have to be waited for.</summary>
    /// <param name="requests">It is cancelled when the sending ends early, so it may wait before it returns a request.</param>
    /// <param name="ask">Makes one call. Other exceptions than <see cref="FlamingoException"/> end the whole.</param>
    public async IAsyncEnumerable<Sent<TRequest, TAnswer>> SendAsync<TRequest, TAnswer>(
        IAsyncEnumerable<TRequest> requests, Func<TRequest, CancellationToken, Task<TAnswer>> ask,
        [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        // An answer that nobody takes keeps its sender from the next request, so memory is bounded by the requests in flight.
        var answers = Channel.CreateBounded<Sent<TRequest, TAnswer>>(_options.InFlight);
        await using var input = requests.GetAsyncEnumerator(ended.Token);
        using var reading = new SemaphoreSlim(1, 1);
        var senders = Task.WhenAll(Enumerable.Range(0, _options.InFlight)
            .Select(_ => Task.Run(SendOneAfterAnotherAsync, CancellationToken.None)));
        _ = senders.ContinueWith(
            all => answers.Writer.TryComplete(all.Exception?.InnerException), CancellationToken.None,
            TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        try
        {
            await foreach (var sent in answers.Reader.ReadAllAsync(cancellation)) yield return sent;
        }
        finally
        {
            await ended.CancelAsync();
            await senders.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously,
                TaskScheduler.Default);
        }

        async Task SendOneAfterAnotherAsync()
        {
            try
            {
                while (await NextAsync() is (true, var request))
                    await answers.Writer.WriteAsync(await AskAsync(request!, ask, ended.Token), ended.Token);
            }
            catch
            {
                await ended.CancelAsync(); // the other senders stop too
                throw;
            }
        }

        async Task<(bool, TRequest?)> NextAsync()
        {
            await reading.WaitAsync(ended.Token);
            try
            {
                return await input.MoveNextAsync() ? (true, input.Current) : (false, default);
            }
            finally
            {
                reading.Release();
            }
        }
    }

    private async Task<Sent<TRequest, TAnswer>> AskAsync<TRequest, TAnswer>(
        TRequest request, Func<TRequest, CancellationToken, Task<TAnswer>> ask, CancellationToken cancellation)
    {
        var context = ResilienceContextPool.Shared.Get(cancellation);
        try
        {
            var answer = await _pipeline.ExecuteAsync(async inner => await ask(request, inner.CancellationToken), context);
            return new(request, answer, null);
        }
        catch (FlamingoException failure) when (!cancellation.IsCancellationRequested)
        {
            return new(request, default, failure);
        }
        finally
        {
            ResilienceContextPool.Shared.Return(context);
        }
    }

    /// <summary>Whether the same call may succeed later.</summary>
    private static bool PassesAway(FlamingoErrorKind kind) =>
        kind is FlamingoErrorKind.Overloaded or FlamingoErrorKind.Unavailable or FlamingoErrorKind.Aborted;

    private bool IsPatient(ResilienceContext context)
    {
        if (!context.Properties.TryGetValue(Refused, out var first)) context.Properties.Set(Refused, first = _time.GetTimestamp());
        return _time.GetElapsedTime(first) < _options.Patience;
    }

    private static TimeSpan Wait(Exception? refusal, int attempt)
    {
        var growing = TimeSpan.FromTicks(Math.Min(LongestWait.Ticks, ShortestWait.Ticks << Math.Min(attempt, 10)));
        return refusal is FlamingoException { RetryAfter: { } asked } && asked > growing ? asked : growing;
    }
}
