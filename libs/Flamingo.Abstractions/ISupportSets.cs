namespace Flamingo.Abstractions;

/// <summary>Named, versioned lists of examples that prompts may draw their shots from.</summary>
public interface ISupportSets
{
    /// <summary>Creates a set, or replaces it under the next version; its pictures are encoded before it is there.</summary>
    /// <exception cref="FlamingoException">
    /// InvalidArgument; Conflict: another version than expected; Unavailable: the store is down.
    /// </exception>
    Task<SupportSet> PutAsync(PutSupportSet request, CancellationToken cancellation = default);

    /// <exception cref="FlamingoException">NotFound.</exception>
    Task<SupportSet> GetAsync(string tenant, string name, CancellationToken cancellation = default);

    /// <summary>By name, without their examples.</summary>
    Task<IReadOnlyList<SupportSet>> ListAsync(string tenant, CancellationToken cancellation = default);

    /// <exception cref="FlamingoException">NotFound.</exception>
    Task DeleteAsync(string tenant, string name, CancellationToken cancellation = default);
}

/// <param name="Visual">A picture or clip with its bytes, never an id.</param>
/// <param name="Text">What follows it, without the end-of-chunk token, which is put behind it.</param>
public sealed record SupportExample(FlamingoVisual Visual, string Text);

/// <param name="TimeToLive">Null: until it is deleted.</param>
/// <param name="ExpectedVersion">Null replaces whatever is there; 0 is "not there yet".</param>
public sealed record PutSupportSet(
    string Name, IReadOnlyList<SupportExample> Examples, TimeSpan? TimeToLive = null, long? ExpectedVersion = null)
{
    /// <inheritdoc cref="TenantName"/>
    public string Tenant { get; init; } = TenantName.Default;
}

public sealed record StoredExample(string PictureId, string Text);

/// <param name="Version">1 for a new set, then one more with every replacement.</param>
/// <param name="Examples">Empty in lists.</param>
public sealed record SupportSet(
    string Name, long Version, DateTimeOffset Created, DateTimeOffset? Expires, int ExampleCount, IReadOnlyList<StoredExample> Examples);

public enum ShotSelection
{
    /// <summary>Every example, in the order of the set.</summary>
    All = 1,

    /// <summary>The first so many.</summary>
    First = 2,

    /// <summary>So many without replacement, by seed.</summary>
    Random = 3,

    /// <summary>
    /// RICES: the nearest to the query's last picture by the cosine of CLIP's pooled and projected embeddings, the most similar
    /// last.
    /// </summary>
    Rices = 4,
}

/// <param name="Version">0 is whatever is there.</param>
/// <param name="Count">Shots; 0 with All.</param>
public sealed record SupportSetChoice(
    string Name, ShotSelection Selection = ShotSelection.All, int Count = 0, ulong Seed = 0, long Version = 0);

/// <summary>As the Flamingo paper did for classification.</summary>
/// <param name="Permutations">Prompts, 2 to 24: the selected order, then permutations of it by seed.</param>
public sealed record Ensemble(int Permutations, ulong Seed);

/// <param name="Examples">Places in the set, 0-based, in the order of the prompt.</param>
public sealed record SelectedShots(string Name, long Version, IReadOnlyList<int> Examples);
