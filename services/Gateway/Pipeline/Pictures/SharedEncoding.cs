using Flamingo.Abstractions;
using Flamingo.Gateway.LatentCache;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway.Pictures;

/// <summary>
/// One encoding across gateways: who gets a picture's lease in Redis encodes it, the others look there until it has been
/// put. An owner that fails gives its leases back at once, one that dies loses them; then one of those who wait encodes
/// its own bytes and meets its own errors. Where Redis does not answer, every gateway encodes for itself.
/// </summary>
public sealed class SharedEncoding(LatentLookup lookup, LatentEncoder encoder, RedisLeases leases, LatentCacheCounters counters, RedisOptions options, TimeProvider time)
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(100);

    /// <summary>What can be encoded here goes out in one call, at once; meanwhile the rest is waited for.</summary>
    /// <param name="landed">Called for each picture, by its index, as soon as it is done.</param>
    /// <param name="failed">Called for each other one.</param>
    /// <returns>Times, and how many pictures another gateway encoded or was encoding.</returns>
    /// <inheritdoc cref="LatentEncoder.EncodeAsync" path="/exception"/>
    public async Task<FlightTimes> EncodeAsync(IReadOnlyList<PictureToEncode> misses, FlamingoModel model, Tenant tenant, Action<int, ResolvedPicture> landed, Action<int, Exception> failed)
    {
        var claims = await Task.WhenAll(misses.Select((miss, index) => ClaimAsync(index, miss, model)));
        foreach (var claim in claims.Where(claim => claim.Found is not null)) landed(claim.Index, Found(claim));
        var own = claims.Where(claim => claim.Own is not null).ToList();
        var flights = claims.Where(claim => claim.IsElsewhere).Select(claim => WaitAsync(claim.Index, misses[claim.Index], model, tenant, landed, failed)).ToList();
        if (own.Count > 0) flights.Add(EncodeOwnAsync(own, model, tenant, landed, failed));
        var all = Task.WhenAll(flights);
        await ((Task)all).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (all.Exception is { } exceptions) throw Joined(exceptions.InnerExceptions);
        return flights.Aggregate(new FlightTimes(default, default, misses.Count - own.Count), (sum, flight) => sum.Beside(flight.Result));
    }

    private async Task<FlightTimes> EncodeOwnAsync(IReadOnlyList<Claim> own, FlamingoModel model, Tenant tenant, Action<int, ResolvedPicture> landed, Action<int, Exception> failed)
    {
        var left = own.Index().ToDictionary();
        try
        {
            var (vision, resample) = await encoder.EncodeAsync([.. own.Select(claim => claim.Own!)], model, tenant, (place, picture) =>
            {
                left.Remove(place);
                landed(own[place].Index, picture);
            });
            return new FlightTimes(vision, resample, 0);
        }
        catch (Exception exception)
        {
            foreach (var claim in left.Values)
            {
                if (claim.Own!.Lease is { } lease) _ = lease.ReturnAsync();
                failed(claim.Index, exception);
            }

            throw;
        }
    }

    private async Task<FlightTimes> WaitAsync(int index, PictureToEncode miss, FlamingoModel model, Tenant tenant, Action<int, ResolvedPicture> landed, Action<int, Exception> failed)
    {
        counters.WaitForAnother();
        var (started, pause, claim) = (time.GetTimestamp(), FirstPause, new Claim(index, null, null));
        while (claim.IsElsewhere && time.GetElapsedTime(started) < options.LeaseWait)
        {
            await Task.Delay(pause, time);
            pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
            claim = await ClaimAsync(index, miss, model);
        }

        var waited = time.GetElapsedTime(started);
        if (claim.Found is null) return (await EncodeOwnAsync([claim.IsElsewhere ? claim with { Own = miss } : claim], model, tenant, landed, failed)).With(new FlightTimes(waited, default, 0));
        landed(index, claim.Found);
        return new FlightTimes(waited, default, 0);
    }

    // the lease is asked for first: what its last owner put is then seen
    private async Task<Claim> ClaimAsync(int index, PictureToEncode miss, FlamingoModel model)
    {
        if (!miss.Shared) return new Claim(index, null, miss);
        var taking = leases.TryTakeAsync(miss.Key);
        var (found, again) = await lookup.LookAgainAsync(miss, model);
        var (answered, lease) = await taking;
        if (found is null) return new Claim(index, null, lease is not null || !answered ? again with { Lease = lease } : null);
        if (lease is not null) _ = lease.ReturnAsync();
        return new Claim(index, found with { Source = PictureSource.Encoded }, null); // for somebody's request, just now
    }

    private ResolvedPicture Found(Claim claim)
    {
        counters.WaitForAnother();
        return claim.Found!;
    }

    private static Exception Joined(IReadOnlyCollection<Exception> failures)
    {
        var faults = failures.OfType<FlamingoException>().Where(failure => failure.Kind == FlamingoErrorKind.InvalidArgument).SelectMany(failure => failure.Faults).ToList();
        return failures.FirstOrDefault(failure => failure is not FlamingoException { Kind: FlamingoErrorKind.InvalidArgument }) ?? FlamingoException.Invalid(faults);
    }

    /// <summary>One of three: found, ours to encode, or elsewhere.</summary>
    private sealed record Claim(int Index, ResolvedPicture? Found, PictureToEncode? Own)
    {
        public bool IsElsewhere => Found is null && Own is null;
    }
}

/// <param name="Vision">Waiting included.</param>
/// <param name="Waits">Pictures that another request was encoding.</param>
public readonly record struct FlightTimes(TimeSpan Vision, TimeSpan Resample, int Waits)
{
    /// <summary>One after the other.</summary>
    public FlightTimes With(FlightTimes later) => new(Vision + later.Vision, Resample + later.Resample, Waits + later.Waits);

    /// <summary>Both at once.</summary>
    public FlightTimes Beside(FlightTimes other) => new(Vision > other.Vision ? Vision : other.Vision, Resample > other.Resample ? Resample : other.Resample, Waits + other.Waits);
}
