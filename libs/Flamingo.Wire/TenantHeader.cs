using Flamingo.Abstractions;
using Grpc.Core;

namespace Flamingo.Wire;

/// <summary>Writes and reads the tenant of a call in its gRPC metadata.</summary>
public static class TenantHeader
{
    public const string Name = "flamingo-tenant";

    /// <returns>The headers with the tenant's name added; unchanged for the default tenant.</returns>
    /// <exception cref="FlamingoException">InvalidArgument: the name is malformed.</exception>
    public static Metadata With(Metadata headers, string tenant) =>
        tenant == TenantName.Default ? headers : [.. headers, new Metadata.Entry(Name, Checked(tenant))];

    /// <exception cref="FlamingoException">InvalidArgument: the name is malformed.</exception>
    public static string Of(ServerCallContext context) => Of(context.RequestHeaders.GetValue(Name));

    /// <param name="value">Value of the header; null if it is absent.</param>
    /// <exception cref="FlamingoException">InvalidArgument: the name is malformed.</exception>
    public static string Of(string? value) => Checked(value ?? TenantName.Default);

    private static string Checked(string tenant) => TenantName.IsWellFormed(tenant)
        ? tenant
        : throw FlamingoException.Invalid(
            $"metadata {Name}", "This is not a valid tenant name.",
            $"Send 1 to {TenantName.MostCharacters} characters of A-Z a-z 0-9 . _ - or leave it out.");
}
