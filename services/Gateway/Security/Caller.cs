using Flamingo.Abstractions;
using Flamingo.Gateway.Security.Keys;

namespace Flamingo.Gateway.Security;

/// <summary>Whom a key or a token speaks for.</summary>
/// <param name="Name">The id of the key, or the subject of the token.</param>
internal sealed record Caller(string Name, string Tenant, bool IsOperator)
{
    public static Caller Of(KeyEntry key) => new(key.Id, key.Tenant, key.Role == KeyEntry.Operator);

    public static FlamingoException Unknown(string message) => new(FlamingoErrorKind.Unauthenticated, message);
}
