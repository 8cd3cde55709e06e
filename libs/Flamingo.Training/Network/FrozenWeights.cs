using Flamingo.Checkpoints;
using static TorchSharp.torch;

namespace Flamingo.Training.Network;

/// <summary>Compares the frozen weights with the model that training began with.</summary>
public static class FrozenWeights
{
    /// <returns>Names of the frozen weights that are not, bit for bit, those of the model.</returns>
    public static IReadOnlyList<string> Moved(ModelDirectory model, BridgeWeights weights)
    {
        using var frozen = no_grad();
        using var file = model.OpenWeights("language");
        var moved = new List<string>();
        foreach (var (name, held) in weights.Frozen)
        {
            using var scope = NewDisposeScope();
            // Bits, because two numbers that are equal may differ in the sign of zero.
            var stored = BridgeWeights.Read(file, file.Entries[name]).to(held.dtype);
            if (!held.bytes.SequenceEqual(stored.bytes)) moved.Add(name);
        }

        return moved;
    }
}
