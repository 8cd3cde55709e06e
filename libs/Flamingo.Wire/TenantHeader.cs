using Flamingo.Abstractions;
using Grpc.Core;

namespace Flamingo.Wire;

/// <summary>The tenant of a call, as its metadata.</summary>
public static class TenantHeader
{
    public const string Name = "flamingo-tenant";

    /// <returns>The headers with the tenant's; the default tenant sends none.</returns>
    /// <exception cref="FlamingoException">InvalidArgument: no name.</exception>
    public static Metadata With(Metadata headers, string tenant) =>
        tenant == TenantName.Default ? headers : [.. headers, new Metadata.Entry(Name, Checked(tenant))];

    /// <exception cref="FlamingoException">InvalidArgument: no name.</exception>
    public static string Of(ServerCallContext context) => Checked(context.RequestHeaders.GetValue(Name) ?? TenantName.Default);

    private static string Checked(string tenant) => TenantName.IsWellFormed(tenant)
        ? tenant
        : throw FlamingoException.Invalid(
            $"metadata {Name}", "This is no name of a tenant.",
            $"Send 1 to {TenantName.MostCharacters} of A-Z a-z 0-9 . _ - or leave it out.");
}
