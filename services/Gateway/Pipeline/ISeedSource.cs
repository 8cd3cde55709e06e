using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Flamingo.Gateway;

/// <summary>Generates the seed of a sampled answer if the request has none. The answer reports the seed.</summary>
public interface ISeedSource
{
    ulong Next();
}

internal sealed class SystemSeedSource : ISeedSource
{
    public ulong Next() => BinaryPrimitives.ReadUInt64LittleEndian(RandomNumberGenerator.GetBytes(8));
}
