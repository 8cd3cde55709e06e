using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Flamingo.LanguageModel.Engine.KvCache;

/// <summary>
/// The name of a block's content: SHA-256 chained over the tenant, all token ids up to the block's end and, wherever the
/// picture that is seen changes, the latent key of the next one or that there is none. Equal names mean equal keys and values. The idea is
/// that of vLLM and nano-vllm; pictures are added here.
/// </summary>
public readonly record struct BlockHash(UInt128 High, UInt128 Low)
{
    private const int NoPicture = -1;

    /// <summary>What the first block's hash chains from.</summary>
    public static BlockHash Root(string tenant) => Of(SHA256.HashData(Encoding.UTF8.GetBytes($"flamingo prefix 1\0{tenant}")));

    /// <summary>Names of all full blocks of a prompt, first to last.</summary>
    public static List<BlockHash> Chain(SequencePrompt prompt, string tenant, int blockTokens)
    {
        var (chain, previous) = (new List<BlockHash>(prompt.Ids.Count / blockTokens), Root(tenant));
        for (var begin = 0; begin + blockTokens <= prompt.Ids.Count; begin += blockTokens)
            chain.Add(previous = previous.Next(prompt, [.. prompt.Ids.Skip(begin).Take(blockTokens)], begin));
        return chain;
    }

    /// <param name="ids">The block's token ids.</param>
    /// <param name="begin">Position of the first of them; positions behind the prompt see what its last token sees.</param>
    public BlockHash Next(SequencePrompt prompt, ReadOnlySpan<int> ids, int begin)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> bytes = stackalloc byte[32];
        BinaryPrimitives.WriteUInt128LittleEndian(bytes, High);
        BinaryPrimitives.WriteUInt128LittleEndian(bytes[16..], Low);
        hash.AppendData(bytes);
        for (var offset = 0; offset < ids.Length; offset++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes, ids[offset]);
            hash.AppendData(bytes[..4]);
            var position = begin + offset;
            var picture = prompt.PictureAt(position);
            if (picture == (position > 0 ? prompt.PictureAt(position - 1) : NoPicture)) continue;
            var key = picture == NoPicture ? [] : Encoding.UTF8.GetBytes(prompt.Keys[picture]);
            // A negative number is no token id, so a key can never be mistaken for ids.
            BinaryPrimitives.WriteInt32LittleEndian(bytes, picture == NoPicture ? int.MinValue : -1 - key.Length);
            hash.AppendData(bytes[..4]);
            hash.AppendData(key);
        }

        return Of(hash.GetHashAndReset());
    }

    private static BlockHash Of(ReadOnlySpan<byte> digest) =>
        new(BinaryPrimitives.ReadUInt128LittleEndian(digest), BinaryPrimitives.ReadUInt128LittleEndian(digest[16..]));
}
