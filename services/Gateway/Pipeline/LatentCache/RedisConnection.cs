using Microsoft.Extensions.Logging;
using Polly;
using Polly.CircuitBreaker;
using Polly.Timeout;
using StackExchange.Redis;

namespace Flamingo.Gateway.LatentCache;

/// <summary>
/// The one way to Redis: one multiplexer, which connects by itself when Redis appears and fails fast while it is gone;
/// every call ends with its budget, and after repeated failures calls are left out for a while.
/// </summary>
public sealed partial class RedisConnection : IAsyncDisposable, IDisposable
{
    private readonly ILogger<RedisConnection> _logger;
    private readonly ResiliencePipeline _calls;
    private readonly Lazy<Task<IConnectionMultiplexer>> _connecting;
    private readonly CancellationTokenSource _closing = new();
    private readonly TimeSpan _budget;
    private long _failures;

    public RedisConnection(RedisOptions options, TimeProvider time, ILogger<RedisConnection> logger)
    {
        (_logger, _budget) = (logger, options.LookupBudget);
        _calls = new ResiliencePipelineBuilder { TimeProvider = time }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions
            {
                FailureRatio = 0.5,
                MinimumThroughput = 4,
                SamplingDuration = TimeSpan.FromSeconds(10),
                BreakDuration = options.BreakDuration,
                ShouldHandle = new PredicateBuilder().Handle<Exception>(exception => exception is not OperationCanceledException),
            })
            .AddTimeout(options.LookupBudget)
            .Build();
        IsOn = options.ConnectionString.Length > 0;
        _connecting = new(async () =>
        {
            var configuration = ConfigurationOptions.Parse(options.ConnectionString);
            configuration.AbortOnConnectFail = false;
            configuration.BacklogPolicy = BacklogPolicy.FailFast;
            configuration.ConnectTimeout = 1000;
            configuration.ReconnectRetryPolicy = new LinearRetry(1000); // the default waits ever longer, up to a minute after Redis is back
            var connection = await ConnectionMultiplexer.ConnectAsync(configuration);
            // not the connection string, which may hold a password
            var servers = string.Join(", ", configuration.EndPoints.Select(EndPointCollection.ToString));
            connection.ConnectionRestored += (_, _) => Restored(servers);
            if (!connection.IsConnected) Absent(servers);
            return connection;
        });
        if (IsOn) _ = _connecting.Value; // begins now, so that the first lookup finds it connected
    }

    /// <summary>Whether there is a Redis at all; where not, every call goes unanswered.</summary>
    public bool IsOn { get; }

    /// <summary>Calls that failed or took longer than their budget; those left out are not among them.</summary>
    public long Failures => Interlocked.Read(ref _failures);

    /// <summary>Cancelled as soon as this is disposed of.</summary>
    public CancellationToken Closing => _closing.Token;

    /// <returns>Whether the client library understands it; an empty one is off.</returns>
    public static bool IsConnectionString(string text)
    {
        try
        {
            return text.Length == 0 || ConfigurationOptions.Parse(text).EndPoints.Count > 0;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    /// <summary>For what <see cref="TryAsync"/> cannot do. Never fails for a server that is not there.</summary>
    public Task<IConnectionMultiplexer> ConnectAsync() => IsOn ? _connecting.Value : throw new InvalidOperationException("Redis is off.");

    /// <summary>Whether Redis answers at present, asked past the breaker and counted nowhere.</summary>
    public async Task<bool> IsReachableAsync(CancellationToken cancellation)
    {
        if (!IsOn) return false;
        try
        {
            var connection = await ConnectAsync().WaitAsync(_budget, cancellation);
            await connection.GetDatabase().PingAsync().WaitAsync(_budget, cancellation);
            return true;
        }
        catch (Exception exception) when (exception is RedisException or TimeoutException or ObjectDisposedException)
        {
            return false;
        }
    }

    /// <param name="what">For the log, for example <c>lookup</c>.</param>
    /// <returns>Not answered: off, gone, slow or left out. Never an error.</returns>
    /// <exception cref="OperationCanceledException">By the caller.</exception>
    public async Task<(bool Answered, T? Value)> TryAsync<T>(string what, Func<IDatabase, CancellationToken, Task<T>> call, CancellationToken cancellation = default)
    {
        if (!IsOn) return default;
        try
        {
            // the client library may not look at the token while it waits for a dead server: WaitAsync does
            return (true, await _calls.ExecuteAsync(async token =>
            {
                var connection = await _connecting.Value.WaitAsync(token);
                return await call(connection.GetDatabase(), token).WaitAsync(token);
            }, cancellation));
        }
        catch (Exception exception) when (!cancellation.IsCancellationRequested)
        {
            if (exception is BrokenCircuitException || Closing.IsCancellationRequested) return default;
            Interlocked.Increment(ref _failures);
            Failed(what, exception is TimeoutRejectedException ? "budget exceeded" : exception.Message);
            return default;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_closing.IsCancellationRequested) return;
        await _closing.CancelAsync();
        if (!IsOn) return;
        var connection = await _connecting.Value;
        await connection.CloseAsync(allowCommandsToComplete: false);
        await connection.DisposeAsync();
    }

    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

    [LoggerMessage(2, LogLevel.Warning, "Redis at {Servers} does not answer. Until it does, latents are held in memory alone, "
        + "and support sets can neither be put nor used.")]
    private partial void Absent(string servers);

    [LoggerMessage(3, LogLevel.Information, "Redis at {Servers} is connected again.")]
    private partial void Restored(string servers);

    [LoggerMessage(1, LogLevel.Warning, "Redis {What} failed, it goes on without: {Reason}")]
    private partial void Failed(string what, string reason);
}
