using Flamingo.Abstractions;
using Flamingo.Stages;
using Grpc.Core;

namespace Flamingo.Transport.Wire;

/// <summary>Who asks, as metadata of a call.</summary>
public static class TenantHeader
{
    public const string Name = "flamingo-tenant";

    /// <returns>The headers and the tenant's; the default tenant sends none.</returns>
    public static Metadata With(Metadata headers, string tenant) => tenant == TenantName.Default ? headers : [.. headers, new Metadata.Entry(Name, tenant)];

    /// <exception cref="FlamingoException">InvalidArgument: no name.</exception>
    public static string Of(ServerCallContext context)
    {
        var tenant = context.RequestHeaders.GetValue(Name) ?? TenantName.Default;
        return TenantName.IsWellFormed(tenant) ? tenant
            : throw FlamingoException.Invalid($"metadata {Name}", "This is no name of a tenant.", $"Send 1 to {TenantName.MostCharacters} of A-Z a-z 0-9 . _ - or leave it out.");
    }
}
