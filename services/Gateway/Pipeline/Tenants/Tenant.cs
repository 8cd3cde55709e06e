using System.Security.Cryptography;
using System.Text;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.Tenants;

/// <summary>
/// A tenant of the installation. The keys of all data that the gateway and the stages store are derived from <see cref="Salt"/>,
/// so that tenants share no data.
/// </summary>
/// <param name="Salt">Salt of the tenant's latent keys.</param>
/// <param name="Digest">
/// The tenant's name outside the gateway, which does not reveal the salt; 64 hexadecimal characters.
/// </param>
public sealed record Tenant(string Name, string Salt, string Digest)
{
    /// <param name="name">See <see cref="TenantName"/>.</param>
    /// <param name="installationSalt">
    /// Salt of this installation. It is the default tenant's salt, and the key from which the salts of other tenants are derived.
    /// </param>
    public static Tenant Of(string name, string installationSalt)
    {
        var salt = name == TenantName.Default ? installationSalt
            : Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(installationSalt), Encoding.UTF8.GetBytes(name)));
        return new Tenant(name, salt, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"flamingo tenant 1\0{salt}"))));
    }
}
