using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Gateway.Attention;

/// <summary>
/// Maps a token's attention over a picture's latents to the picture's patches, through the attention of each latent over the patches.
/// </summary>
public static class AttentionProjection
{
    /// <param name="seen">Weights [latents].</param>
    /// <param name="read">[latents, frames × patches of the grid], rows summing to one.</param>
    /// <param name="patches">
    /// Features of one frame: a square grid in reading order, and a class token, which is not read, where the number is no square.
    /// </param>
    /// <returns>The same with its map [frames × rows, columns], summing to one.</returns>
    /// <exception cref="FlamingoException">Internal: shapes that do not fit together.</exception>
    public static TokenAttention Map(TokenAttention seen, TensorData read, int patches)
    {
        var (weights, reads) = (seen.Weights.ToFloats(), read.ToFloats());
        var side = (int)Math.Sqrt(patches);
        if (read.Shape.Length != 2 || weights.Length != read.Shape[0] || read.Shape[1] % (side * side) != 0)
            throw new FlamingoException(FlamingoErrorKind.Internal,
                $"Attention [{string.Join(", ", seen.Weights.Shape)}] over latents does not fit [{string.Join(", ", read.Shape)}] over "
                + $"{side * side} patches.");
        var map = new float[read.Shape[1]];
        var sum = 0.0;
        for (var place = 0; place < map.Length; place++)
        {
            var value = 0.0;
            for (var latent = 0; latent < weights.Length; latent++) value += (double)weights[latent] * reads[(latent * map.Length) + place];
            map[place] = (float)value;
            sum += value;
        }

        for (var place = 0; place < map.Length && sum > 0; place++) map[place] = (float)(map[place] / sum);
        return seen with { Map = TensorData.FromFloats(map, map.Length / side, side) };
    }
}
