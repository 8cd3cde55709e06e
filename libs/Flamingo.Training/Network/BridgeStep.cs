using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Training.Network;

/// <summary>What the layers of one step share: who sees which text and which picture.</summary>
/// <param name="Batch">The sequences.</param>
/// <param name="Seen">[sequences][tokens]: the picture that a token sees, counted from 1 in its sequence; 0 is none.</param>
/// <param name="TextBias">f32 [1, heads or 1, tokens, tokens], added to the scores of text.</param>
/// <param name="Rotation">Rotary positions, f32 [1, 1, tokens, rotated / 2] each; null if positions are not rotary.</param>
public sealed record BridgeStep(TrainingBatch Batch, int[][] Seen, Tensor TextBias, (Tensor Cosines, Tensor Sines)? Rotation)
{
    private readonly int _media = Math.Max(1, Batch.Pictures.Max(pictures => pictures.Length));
    private Tensor? _pictureBias;

    /// <summary>Whether any token sees a picture.</summary>
    public bool SeesPictures { get; } = Seen.Any(seen => seen.Any(picture => picture > 0));

    /// <summary>Latents of each sequence's pictures; sequences with fewer repeat one, which nobody sees.</summary>
    /// <param name="latents">[pictures, latents, width]</param>
    /// <returns>[sequences, media × latents, width]</returns>
    public Tensor Gather(Tensor latents)
    {
        var indices = Batch.Pictures
            .SelectMany(pictures => Enumerable.Range(0, _media).Select(place => place < pictures.Length ? (long)pictures[place] : 0L));
        return latents.index_select(0, tensor(indices.ToArray())).view(Batch.Ids.Length, -1, latents.shape[2]);
    }

    /// <summary>
    /// [sequences, 1, tokens, media × latents]: 0 for the latents that a token sees, minus infinity for others. A token that sees none has
    /// zeros, and <see cref="SeesAny"/> clears what it reads.
    /// </summary>
    public Tensor PictureBias(int latents, ScalarType dtype)
    {
        if (_pictureBias is not null) return _pictureBias;
        var values = new float[Batch.Ids.Length * Batch.Length * _media * latents];
        var at = 0;
        foreach (var picture in Seen.SelectMany(seen => seen))
            for (var place = 1; place <= _media; place++, at += latents)
                if (picture > 0 && picture != place) values.AsSpan(at, latents).Fill(float.NegativeInfinity);
        return _pictureBias = tensor(values, [Batch.Ids.Length, 1, Batch.Length, _media * latents]).to(dtype);
    }

    /// <summary>[sequences, 1, tokens, 1]: 1 for tokens that see a picture, 0 for others.</summary>
    public Tensor SeesAny(ScalarType dtype) =>
        tensor(Seen.SelectMany(seen => seen.Select(picture => picture > 0 ? 1f : 0f)).ToArray(), [Batch.Ids.Length, 1, Batch.Length, 1])
            .to(dtype);
}
