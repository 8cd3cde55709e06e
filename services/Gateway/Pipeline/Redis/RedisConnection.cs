using System.Net;
using Microsoft.Extensions.Logging;
using Polly;
using Polly.CircuitBreaker;
using StackExchange.Redis;

namespace Flamingo.Gateway.Redis;

/// <summary>
/// A connection to Redis. The multiplexer reconnects in the background, and commands fail at once while Redis is unreachable. Each
/// wait for an answer has a time budget. After repeated failures of one <see cref="RedisCall"/>, a circuit breaker skips the calls of
/// this kind for a while.
/// </summary>
public sealed class RedisConnection : IAsyncDisposable, IDisposable
{
    private readonly ILogger<RedisConnection> _logger;
    private readonly Dictionary<RedisCall, (TimeSpan Budget, ResiliencePipeline Breaker)> _calls;
    private readonly Lazy<Task<IConnectionMultiplexer>> _connecting;
    private readonly CancellationTokenSource _closing = new();
    private readonly TimeSpan _pingBudget;
    private readonly TimeProvider _time;
    private readonly string _consequence;
    private long _failures;

    public RedisConnection(RedisOptions options, TimeProvider time, ILogger<RedisConnection> logger)
        : this(options, time, logger, "latents are held only in memory, and support sets stored there can be neither changed nor read")
    {
    }

    /// <param name="consequence">What is so while this Redis does not answer, for the log.</param>
    public RedisConnection(RedisOptions options, TimeProvider time, ILogger<RedisConnection> logger, string consequence)
    {
        (_logger, _pingBudget, _time, _consequence) = (logger, options.LookupBudget, time, consequence);
        _calls = new()
        {
            [RedisCall.Lookup] = (options.LookupBudget, Breaker("lookup")),
            [RedisCall.Lease] = (options.LeaseBudget, Breaker("lease")),
            [RedisCall.Write] = (options.WriteBudget, Breaker("write")),
        };
        IsOn = options.ConnectionString.Length > 0;
        _connecting = new(() => ConnectAsync(options));
        if (IsOn) _ = _connecting.Value; // connects now, so that the first lookup can use the connection
        else RedisLog.Off(logger);

        ResiliencePipeline Breaker(string what) => new ResiliencePipelineBuilder { TimeProvider = time }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions
            {
                FailureRatio = 0.5,
                MinimumThroughput = 4,
                SamplingDuration = TimeSpan.FromSeconds(10),
                BreakDuration = options.BreakDuration,
                ShouldHandle = new PredicateBuilder().Handle<Exception>(exception => exception is not OperationCanceledException),
                OnOpened = opened =>
                {
                    RedisLog.Skipped(logger, what, opened.BreakDuration);
                    return default;
                },
                OnClosed = _ =>
                {
                    RedisLog.UsedAgain(logger, what);
                    return default;
                },
            })
            .Build();
    }

    /// <summary>Whether Redis is configured. If not, <see cref="SendAsync"/> always returns false.</summary>
    public bool IsOn { get; }

    /// <summary>
    /// Number of waits that failed or took longer than their budget. Waits that the circuit breaker skipped do not count.
    /// </summary>
    public long Failures => Interlocked.Read(ref _failures);

    /// <summary>Cancelled when this connection begins to close.</summary>
    public CancellationToken Closing => _closing.Token;

    /// <summary>
    /// The message about an option that is no connection string. It does not quote the string, because it may hold a password.
    /// </summary>
    /// <param name="empty">What an empty string does.</param>
    public static string Explain(string option, string empty) =>
        $"{option} is not a connection string. Give host:port and options separated by commas, such as localhost:6379,ssl=true; {empty}.";

    /// <returns>
    /// Whether the string names servers and options that exist; an empty string is valid and turns Redis off. The client library
    /// itself drops a server whose port is not a number, takes whole addresses such as <c>redis://host:6379</c> for host names, and
    /// an option without a value for a server.
    /// </returns>
    public static bool IsConnectionString(string text)
    {
        if (text.Length == 0) return true;
        try
        {
            var servers = text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
                .Where(part => !part.Contains('=', StringComparison.Ordinal)).ToList();
            var parsed = ConfigurationOptions.Parse(text).EndPoints;
            return servers.Count > 0 && parsed.Count == servers.Distinct(StringComparer.OrdinalIgnoreCase).Count()
                && parsed.OfType<DnsEndPoint>().All(server => Uri.CheckHostName(server.Host) != UriHostNameType.Unknown)
                && !servers.Any(IsOptionName);
        }
        catch (ArgumentException)
        {
            return false;
        }

        // The library reports an unknown option by ArgumentException, and a wrong value of a known one by a class derived from it.
        static bool IsOptionName(string word)
        {
            try
            {
                return word.All(char.IsAsciiLetter) && word != "localhost" && ConfigurationOptions.Parse($"{word}=1") is not null;
            }
            catch (ArgumentException refusal)
            {
                return refusal.GetType() != typeof(ArgumentException);
            }
        }
    }

    /// <summary>
    /// Returns the multiplexer for operations that <see cref="SendAsync"/> cannot do. It does not fail while the server is
    /// unreachable.
    /// </summary>
    public Task<IConnectionMultiplexer> ConnectAsync() => IsOn ? _connecting.Value : throw new InvalidOperationException("Redis is off.");

    /// <summary>Whether Redis answers a ping now. The call ignores the circuit breaker and changes no count.</summary>
    public async Task<bool> IsReachableAsync(CancellationToken cancellation)
    {
        if (!IsOn) return false;
        try
        {
            var connection = await ConnectAsync().WaitAsync(_pingBudget, cancellation);
            await connection.GetDatabase().PingAsync().WaitAsync(_pingBudget, cancellation);
            return true;
        }
        catch (Exception exception) when (exception is RedisException or TimeoutException or ObjectDisposedException)
        {
            return false;
        }
    }

    /// <summary>
    /// Sends commands together and waits once for all their answers. A single server executes them in this order. In a cluster,
    /// keys of different slots may be on different servers, whose commands have no common order.
    /// </summary>
    /// <param name="kind">Kind of the call, which chooses the budget and the circuit breaker.</param>
    /// <param name="what">Name of the operation for the log, for example <c>renewal of leases</c>.</param>
    /// <param name="commands">
    /// Queues commands on the batch and returns their tasks. It is not called if Redis is off or skipped. After a failure, the
    /// tasks of commands that were answered have completed nevertheless.
    /// </param>
    /// <param name="budgets">Longest wait for all answers, as a multiple of the budget of this kind.</param>
    /// <returns>False if an answer is missing because Redis is off, unreachable, slow or skipped, or refused a command. These
    /// cases throw no exception.</returns>
    /// <exception cref="OperationCanceledException">The caller cancelled the call.</exception>
    public async Task<bool> SendAsync(
        RedisCall kind, string what, Func<IBatch, IEnumerable<Task>> commands, int budgets = 1, CancellationToken cancellation = default)
    {
        if (!IsOn) return false;
        var (budget, breaker) = _calls[kind];
        try
        {
            await breaker.ExecuteAsync(async token => await SendBatchAsync(commands, budgets * budget, token), cancellation);
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

    private async Task<IConnectionMultiplexer> ConnectAsync(RedisOptions options)
    {
        var configuration = ConfigurationOptions.Parse(options.ConnectionString);
        if (options.User.Length > 0) configuration.User = options.User;
        if (options.Password.Length > 0) configuration.Password = options.Password;
        if (options.IsTls) new RedisTls(options, _time, _logger).Configure(configuration);
        configuration.AbortOnConnectFail = false;
        configuration.BacklogPolicy = BacklogPolicy.FailFast;
        configuration.ConnectTimeout = 1000;
        // The default policy waits increasingly long, up to a minute after Redis is back.
        configuration.ReconnectRetryPolicy = new LinearRetry(1000);
        var connection = await ConnectionMultiplexer.ConnectAsync(configuration);
        // The log names the servers and not the connection string, which may hold a password.
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
        else RedisLog.Absent(_logger, servers, await WhyAbsentAsync(connection), _consequence);
        return connection;
    }

    // The library tells the reason only to those who send a command.
    private static async Task<string> WhyAbsentAsync(ConnectionMultiplexer connection)
    {
        try
        {
            await connection.GetDatabase().PingAsync();
            return "it was slow to connect";
        }
        catch (Exception exception) when (exception is RedisException or TimeoutException or ObjectDisposedException)
        {
            return exception.GetBaseException().Message.Split(", ")[0].ReplaceLineEndings(" ").TrimEnd('.'); // the rest are counters
        }
    }

    // A batch sends its commands together when all are queued, so none is answered before the last one has been sent.
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
