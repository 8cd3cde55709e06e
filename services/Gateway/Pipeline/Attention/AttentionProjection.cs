using Flamingo.Stages;

namespace Flamingo.Gateway.Attention;

/// <summary>From what a token read of a picture's latents, through what each latent read of the patches, to the patches themselves.</summary>
public static class AttentionProjection
{
    /// <param name="seen">Weights [latents].</param>
    /// <param name="read">[latents, frames × patches], rows summing to one.</param>
    /// <param name="patches">Of one frame: a square grid in reading order, after a class token where the number is no square.</param>
    /// <returns>The map [frames × rows, columns], summing to one.</returns>
    /// <exception cref="StageException">Internal: shapes that do not fit together.</exception>
    public static AttentionMap Map(TokenAttention seen, TensorData read, int patches)
    {
        var (weights, reads) = (seen.Weights.ToFloats(), read.ToFloats());
        if (read.Shape.Length != 2 || weights.Length != read.Shape[0] || read.Shape[1] % patches != 0)
            throw new StageException(StageErrorKind.Internal, $"Attention [{string.Join(", ", seen.Weights.Shape)}] over latents does not fit [{string.Join(", ", read.Shape)}] over {patches} patches.");
        var (columns, side) = (read.Shape[1], (int)Math.Sqrt(patches));
        var (frames, first) = (columns / patches, patches - (side * side)); // the class token draws nothing
        var map = new float[frames * side * side];
        var sum = 0.0;
        for (var place = 0; place < map.Length; place++)
        {
            var column = ((place / (side * side)) * patches) + first + (place % (side * side));
            var value = 0.0;
            for (var latent = 0; latent < weights.Length; latent++) value += (double)weights[latent] * reads[(latent * columns) + column];
            map[place] = (float)value;
            sum += value;
        }

        for (var place = 0; place < map.Length && sum > 0; place++) map[place] = (float)(map[place] / sum);
        return new AttentionMap(seen.Picture, seen.Weights, TensorData.FromFloats(map, frames * side, side));
    }
}
