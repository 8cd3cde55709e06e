using System.Security.Cryptography;
using System.Text;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.Tenants;

/// <summary>
/// A client of the installation. The names of everything that the gateway and the stages keep are derived from <see cref="Salt"/>, so that
/// tenants share nothing.
/// </summary>
/// <param name="Salt">In every latent key.</param>
/// <param name="Digest">
/// The tenant's name beyond the gateway, from which nobody learns the salt; 64 hexadecimal characters.
/// </param>
public sealed record Tenant(string Name, string Salt, string Digest)
{
    /// <param name="name">See <see cref="TenantName"/>.</param>
    /// <param name="installationSalt">
    /// Of this installation. It is the default tenant's own salt, and the key from which other tenants' salts are derived.
    /// </param>
    public static Tenant Of(string name, string installationSalt)
    {
        var salt = name == TenantName.Default ? installationSalt
            : Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(installationSalt), Encoding.UTF8.GetBytes(name)));
        return new Tenant(name, salt, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"flamingo tenant 1\0{salt}"))));
    }
}
