namespace Flamingo.Abstractions;

/// <summary>Named, versioned lists of examples that prompts may draw their shots from.</summary>
public interface ISupportSets
{
    /// <summary>Creates a set, or replaces it under the next version. Its pictures are encoded before the set becomes visible.</summary>
    /// <exception cref="FlamingoException">
    /// InvalidArgument; Conflict: the set does not have the expected version; Unavailable: the store cannot be reached.
    /// </exception>
    Task<SupportSet> PutAsync(PutSupportSet request, CancellationToken cancellation = default);

    /// <exception cref="FlamingoException">NotFound: there is no set of this name.</exception>
    Task<SupportSet> GetAsync(string tenant, string name, CancellationToken cancellation = default);

    /// <summary>Lists the tenant's sets, ordered by name and without their examples.</summary>
    Task<IReadOnlyList<SupportSet>> ListAsync(string tenant, CancellationToken cancellation = default);

    /// <exception cref="FlamingoException">NotFound: there is no set of this name.</exception>
    Task DeleteAsync(string tenant, string name, CancellationToken cancellation = default);
}

/// <param name="Visual">A picture or clip with its bytes, never an id.</param>
/// <param name="Text">The text that follows the picture, without the end-of-chunk token, which the service appends.</param>
public sealed record SupportExample(FlamingoVisual Visual, string Text);

/// <param name="TimeToLive">How long the set is kept; null keeps it until it is deleted.</param>
/// <param name="ExpectedVersion">The version that the set must have now; 0 means that it must not exist. Null replaces any version.</param>
public sealed record PutSupportSet(
    string Name, IReadOnlyList<SupportExample> Examples, TimeSpan? TimeToLive = null, long? ExpectedVersion = null)
{
    /// <inheritdoc cref="TenantName"/>
    public string Tenant { get; init; } = TenantName.Default;
}

public sealed record StoredExample(string PictureId, string Text);

/// <param name="Version">1 for a new set, then one more with every replacement.</param>
/// <param name="Examples">The examples in order; empty in the result of a list call.</param>
public sealed record SupportSet(
    string Name, long Version, DateTimeOffset Created, DateTimeOffset? Expires, int ExampleCount, IReadOnlyList<StoredExample> Examples);

public enum ShotSelection
{
    /// <summary>Every example, in the order of the set.</summary>
    All = 1,

    /// <summary>The first examples, as many as the request's count.</summary>
    First = 2,

    /// <summary>Random examples without replacement, as many as the request's count, chosen by the seed.</summary>
    Random = 3,

    /// <summary>
    /// RICES: the examples that are nearest to the query's last picture by the cosine of CLIP's pooled and projected embeddings.
    /// The most similar example comes last.
    /// </summary>
    Rices = 4,
}

/// <param name="Version">The version that the set must have; 0 accepts any version.</param>
/// <param name="Count">Number of shots; 0 with All.</param>
public sealed record SupportSetChoice(
    string Name, ShotSelection Selection = ShotSelection.All, int Count = 0, ulong Seed = 0, long Version = 0);

/// <summary>Averages scores over several orders of the shots, as the Flamingo paper does for classification.</summary>
/// <param name="Permutations">Number of prompts, 2 to 24: the first uses the selected order, the others use permutations chosen
/// by the seed.</param>
public sealed record Ensemble(int Permutations, ulong Seed);

/// <param name="Examples">Indices in the set, 0-based, in the order of the prompt.</param>
public sealed record SelectedShots(string Name, long Version, IReadOnlyList<int> Examples);
