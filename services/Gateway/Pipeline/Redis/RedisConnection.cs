using Microsoft.Extensions.Logging;
using Polly;
using Polly.CircuitBreaker;
using StackExchange.Redis;

namespace Flamingo.Gateway.Redis;

/// <summary>
/// The gateway's one connection to Redis. The multiplexer connects by itself when Redis appears, and fails at once while it is away. Each
/// wait for an answer has a budget. After repeated failures a circuit breaker skips Redis for a while.
/// </summary>
public sealed class RedisConnection : IAsyncDisposable, IDisposable
{
    private readonly ILogger<RedisConnection> _logger;
    private readonly ResiliencePipeline _breaker;
    private readonly Lazy<Task<IConnectionMultiplexer>> _connecting;
    private readonly CancellationTokenSource _closing = new();
    private readonly TimeSpan _budget;
    private readonly TimeProvider _time;
    private long _failures;

    public RedisConnection(RedisOptions options, TimeProvider time, ILogger<RedisConnection> logger)
    {
        (_logger, _budget, _time) = (logger, options.LookupBudget, time);
        _breaker = new ResiliencePipelineBuilder { TimeProvider = time }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions
            {
                FailureRatio = 0.5,
                MinimumThroughput = 4,
                SamplingDuration = TimeSpan.FromSeconds(10),
                BreakDuration = options.BreakDuration,
                ShouldHandle = new PredicateBuilder().Handle<Exception>(exception => exception is not OperationCanceledException),
                OnOpened = opened =>
                {
                    RedisLog.Skipped(logger, opened.BreakDuration);
                    return default;
                },
                OnClosed = _ =>
                {
                    RedisLog.UsedAgain(logger);
                    return default;
                },
            })
            .Build();
        IsOn = options.ConnectionString.Length > 0;
        _connecting = new(() => ConnectAsync(options.ConnectionString));
        if (IsOn) _ = _connecting.Value; // begins now, so that the first lookup finds it connected
        else RedisLog.Off(logger);
    }

    /// <summary>Whether a Redis is configured at all; where none is, every call goes unanswered.</summary>
    public bool IsOn { get; }

    /// <summary>Waits that failed or took longer than their budget; those that the circuit breaker skipped do not count.</summary>
    public long Failures => Interlocked.Read(ref _failures);

    /// <summary>Cancelled when this connection begins to close.</summary>
    public CancellationToken Closing => _closing.Token;

    /// <returns>Whether the client library understands it; an empty one turns Redis off.</returns>
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

    /// <summary>For what <see cref="SendAsync"/> cannot do. Does not fail while the server is away.</summary>
    public Task<IConnectionMultiplexer> ConnectAsync() => IsOn ? _connecting.Value : throw new InvalidOperationException("Redis is off.");

    /// <summary>Whether Redis answers at present. Neither the circuit breaker nor any count takes part.</summary>
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

    /// <summary>
    /// Sends commands together and waits once for all their answers. One server executes them in this order; in a cluster, keys of
    /// different slots may live on different servers, which know no common order.
    /// </summary>
    /// <param name="what">For the log, for example <c>lookup</c>.</param>
    /// <param name="commands">
    /// Queues commands on the batch and gives their tasks; not called where Redis is off or skipped. After a failure, the tasks of those
    /// commands that were answered all the same have completed.
    /// </param>
    /// <param name="budgets">How many times the budget of a lookup all answers together may take.</param>
    /// <returns>False where an answer is missing: Redis is off, away, slow or skipped, or refused a command. Never an error.</returns>
    /// <exception cref="OperationCanceledException">By the caller.</exception>
    public async Task<bool> SendAsync(
        string what, Func<IBatch, IEnumerable<Task>> commands, int budgets = 1, CancellationToken cancellation = default)
    {
        if (!IsOn) return false;
        try
        {
            await _breaker.ExecuteAsync(async token => await SendBatchAsync(commands, budgets * _budget, token), cancellation);
            return true;
        }
        catch (Exception exception) when (!cancellation.IsCancellationRequested)
        {
            if (exception is BrokenCircuitException || Closing.IsCancellationRequested) return false;
            Interlocked.Increment(ref _failures);
            RedisLog.Failed(_logger, what, exception is TimeoutException ? "it took longer than its budget" : exception.Message);
            return false;
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

    private async Task<IConnectionMultiplexer> ConnectAsync(string connectionString)
    {
        var configuration = ConfigurationOptions.Parse(connectionString);
        configuration.AbortOnConnectFail = false;
        configuration.BacklogPolicy = BacklogPolicy.FailFast;
        configuration.ConnectTimeout = 1000;
        // The default waits ever longer, up to a minute after Redis is back.
        configuration.ReconnectRetryPolicy = new LinearRetry(1000);
        var connection = await ConnectionMultiplexer.ConnectAsync(configuration);
        // Not the connection string, which may hold a password.
        var servers = string.Join(", ", configuration.EndPoints.Select(EndPointCollection.ToString));
        connection.ConnectionRestored += (_, restored) =>
        {
            if (restored.ConnectionType == ConnectionType.Interactive) RedisLog.Restored(_logger, servers);
        };
        connection.ConnectionFailed += (_, lost) =>
        {
            if (lost.ConnectionType == ConnectionType.Interactive && !Closing.IsCancellationRequested)
                RedisLog.Lost(_logger, servers, lost.FailureType);
        };
        if (connection.IsConnected) RedisLog.Connected(_logger, servers);
        else RedisLog.Absent(_logger, servers);
        return connection;
    }

    // A batch keeps its commands back until all are queued: none is answered before the last one has been sent.
    private async Task SendBatchAsync(Func<IBatch, IEnumerable<Task>> commands, TimeSpan budget, CancellationToken cancellation)
    {
        var started = _time.GetTimestamp();
        var connection = await _connecting.Value.WaitAsync(budget, _time, cancellation); // nothing is sent after the budget
        var batch = connection.GetDatabase().CreateBatch();
        var answers = Task.WhenAll(commands(batch));
        batch.Execute();
        var left = budget - _time.GetElapsedTime(started);
        await answers.WaitAsync(left > TimeSpan.Zero ? left : TimeSpan.Zero, _time, cancellation);
    }
}
