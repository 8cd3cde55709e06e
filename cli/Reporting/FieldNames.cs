using Flamingo.Abstractions;

namespace Flamingo.Cli.Reporting;

/// <summary>
/// What the user calls the fields of a request: an option, a file, or a place in a file. The service finds faults in
/// fields of messages (<c>segments[0].picture</c>), which the user never wrote; they are told by these names.
/// </summary>
public sealed class FieldNames
{
    private readonly Dictionary<string, string> _names = new(StringComparer.Ordinal);

    /// <param name="field">
    /// As the service names it. Fields inside of it (<c>segments[0].picture</c> in <c>segments[0]</c>) have the same name unless
    /// they have their own.
    /// </param>
    public void Add(string field, string name) => _names[field] = name;

    /// <summary>The user's name of a field; the field itself where there is none.</summary>
    public string Of(string field)
    {
        for (var inner = field; inner.Length > 0; inner = inner[..Math.Max(0, inner.LastIndexOfAny(['.', '[']))])
            if (_names.TryGetValue(inner, out var name)) return name;
        return field;
    }

    /// <summary>Asks the service; what it refuses is told by the user's names.</summary>
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
