using Flamingo.Abstractions;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;

namespace Flamingo.Gateway.SupportSets;

/// <summary>Storage of support sets. An expired set counts as absent.</summary>
public interface ISupportSetStore
{
    /// <returns>The set, or null if current is no set of this name.</returns>
    /// <exception cref="FlamingoException">Unavailable: the store cannot be reached, and this process has not read the set
    /// recently.</exception>
    Task<StoredSet?> GetAsync(Tenant tenant, string name, CancellationToken cancellation);

    /// <summary>Returns the files of a set's pictures by id. Pictures that no longer exist are omitted.</summary>
    Task<IReadOnlyDictionary<string, VisualInput>> GetPicturesAsync(
        Tenant tenant, StoredSet set, IReadOnlyCollection<string> ids, CancellationToken cancellation);

    /// <param name="expectedVersion">The version that the set must have now; 0 means that it must not exist. Null replaces any
    /// version.</param>
    /// <exception cref="FlamingoException">Conflict: the set has another version; Overloaded: a bound of the store is reached;
    /// Unavailable: the store cannot be reached.</exception>
    Task<StoredSet> PutAsync(Tenant tenant, NewSet set, long? expectedVersion, CancellationToken cancellation);

    /// <summary>Lists the tenant's sets, ordered by name and without their shots.</summary>
    Task<IReadOnlyList<StoredSet>> ListAsync(Tenant tenant, CancellationToken cancellation);

    /// <returns>Whether the set existed.</returns>
    Task<bool> DeleteAsync(Tenant tenant, string name, CancellationToken cancellation);
}

internal static class SupportSetRefusals
{
    public static FlamingoException Missing(string name, string problem = "There is no such support set") =>
        new(FlamingoErrorKind.NotFound, $"{problem}: {name}. List returns the existing sets.")
        {
            Missing = [name], MissingResource = FlamingoException.SupportSet,
        };

    public static FlamingoException Conflict(string name, long expected, long current)
    {
        var found = current == 0 ? "does not exist" : $"has version {current}";
        var wanted = expected == 0 ? "no set of this name" : $"version {expected}";
        return new(
            FlamingoErrorKind.Conflict, $"Support set {name} {found}, but the request expected {wanted}. Get the set and decide again.");
    }

    public static FlamingoException Full(string bound) =>
        new(
            FlamingoErrorKind.Overloaded, $"The store of support sets is full: {bound}. Delete some sets, or ask the operator to raise "
                + "the bound.")
        {
            RetryAfter = TimeSpan.FromMinutes(1),
        };
}
