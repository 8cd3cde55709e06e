using Flamingo.Abstractions;

namespace Flamingo.Cli.Reporting;

/// <summary>
/// Maps the fields of a request to the names that the user knows: an option, a file, or a place in a file. The service reports errors
/// for message fields such as <c>segments[0].picture</c>, which the user never wrote; error messages show the mapped names instead.
/// </summary>
public sealed class FieldNames
{
    private readonly Dictionary<string, string> _names = new(StringComparer.Ordinal);

    /// <param name="field">
    /// The service's name of the field. Its subfields (<c>segments[0].picture</c> of <c>segments[0]</c>) have the same name unless another
    /// name is added for them.
    /// </param>
    public void Add(string field, string name) => _names[field] = name;

    /// <summary>The user's name of a field, or the field itself if no name was added.</summary>
    public string Of(string field)
    {
        for (var inner = field; inner.Length > 0; inner = inner[..Math.Max(0, inner.LastIndexOfAny(['.', '[']))])
            if (_names.TryGetValue(inner, out var name)) return name;
        return field;
    }

    /// <summary>Calls the service and replaces the field names in its errors by the user's names.</summary>
    public async Task<T> AskAsync<T>(Func<Task<T>> ask)
    {
        try
        {
            return await ask();
        }
        catch (FlamingoException refusal) when (refusal.Faults.Count > 0)
        {
            throw FlamingoException.Invalid([.. refusal.Faults.Select(fault => fault with { Field = Of(fault.Field) })]);
        }
    }
}
