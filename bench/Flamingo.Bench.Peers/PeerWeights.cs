using System.ComponentModel.DataAnnotations;
using Flamingo.Bench.Peers.Gguf;
using Flamingo.Bench.Synthesis;
using Flamingo.Checkpoints;
using Flamingo.Modeling.Runtime;

namespace Flamingo.Bench.Peers;

/// <summary>A pair of ways to hold weights that are compared, ours and llama.cpp's.</summary>
/// <param name="Name">bf16, int8 or int4.</param>
/// <param name="Storage">Our <c>Model:WeightStorage</c>.</param>
/// <param name="Type">llama.cpp's type of matrices.</param>
public sealed record PeerWeights(string Name, string Storage, GgufType Type)
{
    public static IReadOnlyList<PeerWeights> All { get; } =
    [
        new("bf16", "native", GgufType.BF16), new("int8", "int8", GgufType.Q8_0), new("int4", "int4", GgufType.Q4_0),
    ];

    /// <summary>Whether this build holds weights in this way.</summary>
    public bool IsAvailable
    {
        get
        {
            var options = new ModelOptions { WeightStorage = Storage };
            return Validator.TryValidateProperty(
                options.WeightStorage, new ValidationContext(options) { MemberName = nameof(ModelOptions.WeightStorage) }, null);
        }
    }

    /// <summary>
    /// Our matrices that decoding one token reads, with their bytes in memory. The output projection that is the token embedding stays
    /// bf16; the key and value projections of the gated blocks are computed once for each picture and are not among them.
    /// </summary>
    public (long Parameters, long Bytes) OwnMatrices(Geometry geometry)
    {
        var (parameters, bytes) = (0L, 0L);
        foreach (var tensor in SyntheticTensor.Language(geometry.Language, geometry.Biases).Where(one => IsRead(one, geometry.Language)))
        {
            parameters += tensor.Elements;
            bytes += tensor.Name == "token_embedding.weight" ? 2 * tensor.Elements : Storage switch
            {
                "native" => 2 * tensor.Elements,
                "int8" => tensor.Elements + (sizeof(float) * tensor.Shape[0]),
                _ => (tensor.Elements / 2) + (2 * tensor.Elements / GgufTensor.GroupValues), // a bf16 scale for 32 weights
            };
        }

        return (parameters, bytes);
    }

    private static bool IsRead(SyntheticTensor tensor, LanguageConfig language) =>
        tensor.Shape.Count == 2
            && !tensor.Name.EndsWith(".gated_cross_attention.attention.key_value.weight", StringComparison.Ordinal)
            && (language.TiedEmbeddings || tensor.Name != "token_embedding.weight");
}
