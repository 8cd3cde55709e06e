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

    /// <summary>
    /// Pictures of the set were missing twice: because the set was changed twice while it was read, or because the store has lost them.
    /// </summary>
    public static FlamingoException LostPictures(string name, bool isChanged) => isChanged
        ? new(FlamingoErrorKind.Aborted, $"The support set {name} changed while it was read. Try again.")
        : new(FlamingoErrorKind.NotFound, $"The stored support set {name} has lost pictures. Put it again.")
        {
            Missing = [name], MissingResource = FlamingoException.SupportSet,
        };

    /// <summary>The set exists, but what is stored of it cannot be read. Another put replaces it.</summary>
    public static FlamingoException Damaged(string name) =>
        new(FlamingoErrorKind.NotFound, $"The stored support set {name} is damaged. Put it again, or delete it.")
        {
            Missing = [name], MissingResource = FlamingoException.SupportSet,
        };

    public static FlamingoException DamagedVersion(string name, long expected) =>
        new(
            FlamingoErrorKind.Conflict, $"The stored support set {name} is damaged and has no version, but the request expected version "
                + $"{expected}. Put it without an expected version, or delete it.");

    public static FlamingoException Conflict(string name, long expected, long current)
    {
        var found = current == 0 ? "does not exist" : $"has version {current}";
        var wanted = expected == 0 ? "no set of this name" : $"version {expected}";
        return new(
            FlamingoErrorKind.Conflict, $"Support set {name} {found}, but the request expected {wanted}. Get the set and decide again.");
    }

    /// <summary>A bound of all tenants is reached. Waiting may help, because other sets may be deleted or expire.</summary>
    public static FlamingoException Full(string bound) =>
        new(
            FlamingoErrorKind.Overloaded, $"The store of support sets is full: {bound}. Delete some sets, or ask the operator to raise "
                + "the bound.")
        {
            RetryAfter = TimeSpan.FromMinutes(1),
        };

    /// <summary>A bound of this tenant is reached, or the set is larger than a bound. Waiting does not help.</summary>
    public static FlamingoException TooMuch(string problem) =>
        new(FlamingoErrorKind.Overloaded, $"{problem}. Delete some sets or send a smaller one, or ask the operator to raise the bound.");

    /// <summary>Throws if a set of this size can never be stored.</summary>
    public static void CheckSize(long bytes, string totalOption, long total, SupportSetOptions options)
    {
        if (bytes > total) throw TooMuch($"The support set takes {bytes} bytes, and {totalOption} is {total}");
        if (bytes > options.MaxTenantBytes) throw OfTenant(bytes, options);
    }

    public static FlamingoException OfTenant(long bytes, SupportSetOptions options) =>
        TooMuch($"The tenant's support sets would take {bytes} bytes, and SupportSets:MaxTenantBytes is {options.MaxTenantBytes}");

    public static FlamingoException TooMany(SupportSetOptions options) =>
        TooMuch($"The tenant has as many support sets as SupportSets:MaxSets allows, which is {options.MaxSets}");
}
