using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Flamingo.Gateway;

/// <summary>Draws the seed of a sampled answer whose caller named none; the answer returns it.</summary>
public interface ISeedSource
{
    ulong Next();
}

internal sealed class SystemSeedSource : ISeedSource
{
    public ulong Next() => BinaryPrimitives.ReadUInt64LittleEndian(RandomNumberGenerator.GetBytes(8));
}
