using Flamingo.Modeling.Tensors;
using Flamingo.Training.Network;
using static TorchSharp.torch;

namespace Flamingo.Training.Loop;

/// <summary>
/// An auxiliary loss for data whose pictures have descriptions. The frozen language model reads each prompt twice: with pictures, through
/// the gated blocks, and as text alone, where <c>[description]</c> stands in the place of each picture. The loss is the distance of the two
/// hidden states after the middle layer, at the places that predict an answer. So the blocks learn what a picture should mean to this
/// language model, before answers alone could tell them. It needs nothing but the language model itself.
/// </summary>
/// <param name="network">The network, of which the teacher uses the frozen layers alone.</param>
/// <param name="layers">Number of layers of the language model.</param>
public sealed class TextTeacher(BridgeNetwork network, int layers)
{
    /// <summary>Layers after which hidden states are compared.</summary>
    public int Layers { get; } = Math.Max(1, layers / 2);

    /// <summary>The hidden states of the text twin at its places. The result has no gradient.</summary>
    /// <returns>[places, width]</returns>
    public Tensor Read(TextTwin twin)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var batch = new TrainingBatch(twin.Ids, twin.Ids, [.. twin.Ids.Select(_ => Array.Empty<int>())]);
        var (step, x) = (network.Prepare(batch), network.Embed(batch));
        for (var layer = 0; layer < Layers; layer++) x = network.Layer(layer, x, null, step);
        return At(x, twin.Places).MoveToOuterDisposeScope();
    }

    /// <summary>The part of the teacher's variance that the pupil's hidden states do not explain.</summary>
    /// <param name="x">The pupil's hidden states after <see cref="Layers"/> layers, [sequences, tokens, width].</param>
    /// <param name="places">The pupil's places, sequence × tokens + token.</param>
    /// <param name="wanted">What <see cref="Read"/> returned.</param>
    /// <returns>f32, a scalar</returns>
    public static Tensor Distance(Tensor x, long[] places, Tensor wanted)
    {
        var (pupil, teacher) = (At(x, places).to(ScalarType.Float32), wanted.to(ScalarType.Float32));
        var (apart, spread) = (pupil - teacher, teacher - teacher.mean([0], keepdim: true));
        return (apart * apart).mean() / (spread * spread).mean().clamp_min(Scalars.Of(1e-12));
    }

    private static Tensor At(Tensor x, long[] places) => x.reshape(-1, x.shape[2]).index_select(0, tensor(places));
}
