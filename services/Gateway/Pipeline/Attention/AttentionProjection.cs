using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.Attention;

/// <summary>
/// Projects a token's attention over a picture's latents onto the picture's patches, using the attention of each latent over the patches.
/// </summary>
public static class AttentionProjection
{
    /// <param name="token">The token's attention, with weights [latents].</param>
    /// <param name="latents">Attention of each latent over the patches, [latents, frames × grid patches]; each row sums to one.</param>
    /// <param name="patches">
    /// Number of features of one frame: a square grid in reading order, plus an ignored class token if the number is not a square.
    /// </param>
    /// <returns>The token's attention with its map [frames × rows, columns], which sums to one.</returns>
    /// <exception cref="FlamingoException">Internal: the shapes do not fit together.</exception>
    public static TokenAttention Map(TokenAttention token, TensorData latents, int patches)
    {
        var (weights, patchWeights) = (token.Weights.ToFloats(), latents.ToFloats());
        var side = (int)Math.Sqrt(patches);
        if (latents.Shape.Length != 2 || weights.Length != latents.Shape[0] || latents.Shape[1] % (side * side) != 0)
            throw new FlamingoException(FlamingoErrorKind.Internal,
                $"Attention [{string.Join(", ", token.Weights.Shape)}] over latents does not fit [{string.Join(", ", latents.Shape)}] over "
                + $"{side * side} patches.");
        var map = new float[latents.Shape[1]];
        var sum = 0.0;
        for (var patch = 0; patch < map.Length; patch++)
        {
            var value = 0.0;
            for (var latent = 0; latent < weights.Length; latent++)
                value += (double)weights[latent] * patchWeights[(latent * map.Length) + patch];
            map[patch] = (float)value;
            sum += value;
        }

        for (var patch = 0; patch < map.Length && sum > 0; patch++) map[patch] = (float)(map[patch] / sum);
        return token with { Map = TensorData.FromFloats(map, map.Length / side, side) };
    }
}
