namespace Flamingo.Gateway.Redis;

/// <summary>
/// The kinds of calls to Redis. Each has a time budget and a circuit breaker of its own, so that calls of one kind that fail stop no
/// calls of another kind. A full Redis, for example, refuses writes and leases and still answers lookups.
/// </summary>
public enum RedisCall
{
    /// <summary>Reads values. Budget: <see cref="RedisOptions.LookupBudget"/>.</summary>
    Lookup,

    /// <summary>Takes, renews and releases leases. Budget: <see cref="RedisOptions.LeaseBudget"/>.</summary>
    Lease,

    /// <summary>Writes values. Budget: <see cref="RedisOptions.WriteBudget"/>.</summary>
    Write,
}
