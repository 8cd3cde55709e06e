using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Flamingo.LanguageModel.Engine.KvCache;

/// <summary>
/// Identifies the content of a block: a chained SHA-256 over the tenant, all token ids up to the end of the block and, at each
/// position where tokens begin to attend to another picture, the name of that picture (<see cref="PictureName"/>: the latent key and the
/// checksum of the latents) or a mark for no picture. Equal hashes mean equal keys and values. vLLM and nano-vllm hash blocks in the same
/// way; the pictures are an addition.
/// </summary>
public readonly record struct BlockHash(UInt128 High, UInt128 Low)
{
    private const int NoPicture = -1;

    /// <summary>The hash from which the hash of the first block is chained.</summary>
    public static BlockHash Root(string tenant) => Of(SHA256.HashData(Encoding.UTF8.GetBytes($"flamingo prefix 1\0{tenant}")));

    /// <summary>Hashes of all full blocks of a prompt, first to last.</summary>
    public static List<BlockHash> Chain(SequencePrompt prompt, string tenant, int blockTokens)
    {
        var (chain, previous) = (new List<BlockHash>(prompt.Ids.Count / blockTokens), Root(tenant));
        for (var begin = 0; begin + blockTokens <= prompt.Ids.Count; begin += blockTokens)
            chain.Add(previous = previous.Next(prompt, [.. prompt.Ids.Skip(begin).Take(blockTokens)], begin));
        return chain;
    }

    /// <param name="ids">The block's token ids.</param>
    /// <param name="begin">Position of the first id. Positions after the prompt attend to the same picture as its last token.</param>
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
