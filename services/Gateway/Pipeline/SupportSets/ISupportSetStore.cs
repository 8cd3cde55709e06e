using Flamingo.Abstractions;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway.SupportSets;

/// <summary>Where support sets are kept. An expired set counts as one that is not there.</summary>
public interface ISupportSetStore
{
    /// <returns>Null where there is none of that name.</returns>
    /// <exception cref="FlamingoException">Unavailable: the store is down and this process has not seen the set lately.</exception>
    Task<StoredSet?> GetAsync(Tenant tenant, string name, CancellationToken cancellation);

    /// <summary>Files of a set's pictures, by id; those that are gone are left out.</summary>
    Task<IReadOnlyDictionary<string, VisualInput>> GetPicturesAsync(
        Tenant tenant, StoredSet set, IReadOnlyCollection<string> ids, CancellationToken cancellation);

    /// <param name="expectedVersion">Null replaces whatever is there; 0 is "not there yet".</param>
    /// <exception cref="FlamingoException">Conflict: another version is there; Overloaded: no more sets fit; Unavailable.</exception>
    Task<StoredSet> PutAsync(Tenant tenant, NewSet set, long? expectedVersion, CancellationToken cancellation);

    /// <summary>By name, without their shots.</summary>
    Task<IReadOnlyList<StoredSet>> ListAsync(Tenant tenant, CancellationToken cancellation);

    /// <returns>Whether it was there.</returns>
    Task<bool> DeleteAsync(Tenant tenant, string name, CancellationToken cancellation);
}

internal static class SupportSetRefusals
{
    public static FlamingoException Missing(string name, string problem = "There is no such support set") =>
        new(FlamingoErrorKind.NotFound, $"{problem}: {name}. List shows those that are there.")
        {
            Missing = [name], MissingResource = FlamingoException.SupportSet,
        };

    public static FlamingoException Conflict(string name, long expected, long there)
    {
        var found = there == 0 ? "is not there" : $"has version {there}";
        var wanted = expected == 0 ? "that it is not there" : $"version {expected}";
        return new(FlamingoErrorKind.Conflict, $"Support set {name} {found}, expected was {wanted}. Get it and decide anew.");
    }

    public static FlamingoException Full(string bound) =>
        new(FlamingoErrorKind.Overloaded, $"No more support sets fit: {bound}. Delete some, or let the operator raise the bound.")
        {
            RetryAfter = TimeSpan.FromMinutes(1),
        };
}
