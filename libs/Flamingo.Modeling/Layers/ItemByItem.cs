using Flamingo.Modeling.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Layers;

/// <summary>
/// Operations that are computed separately for each item of a batch, so that an item's result is bit for bit the same in every
/// batch. On the CPU torch chooses by the size of the whole call how to compute them: attention chooses its tiles and packing,
/// and elementwise functions use another approximation for the elements after the last whole vector of a thread's share. Other
/// devices compute the whole batch at once, because there launching a kernel costs more than running it; their results may differ
/// in the last bits with the size of the batch. Sums, products, layer norms and copies do not depend on the batch. For linear
/// layers see <see cref="Linear.ForwardTiled"/>.
/// </summary>
public static class ItemByItem
{
    /// <summary>Scaled dot-product attention. The heads of the result are concatenated.</summary>
    /// <param name="query">[batch, heads, rows, head]</param>
    /// <param name="keys">[batch, heads, columns, head]</param>
    /// <param name="values">[batch, heads, columns, head]</param>
    /// <returns>[batch, rows, heads × head]</returns>
    public static Tensor Attend(Tensor query, Tensor keys, Tensor values) => query.device_type != DeviceType.CPU
        ? Mix(query, keys, values)
        : cat(Items(query).Zip(Items(keys), Items(values)).Select(item => Mix(item.First, item.Second, item.Third)).ToArray(), 0);

    /// <summary>Computes x σ(1.702 x), CLIP's approximation of GELU, in place: the tensor is overwritten.</summary>
    public static Tensor QuickGelu(Tensor x)
    {
        var gate = x.mul(Scalars.Of(1.702));
        foreach (var item in Items(gate)) item.sigmoid_();
        return x.mul_(gate);
    }

    /// <summary>Computes exact GELU in place: the tensor is overwritten.</summary>
    public static Tensor Gelu(Tensor x)
    {
        foreach (var item in Items(x)) nn.functional.gelu(item, inplace: true);
        return x;
    }

    private static Tensor Mix(Tensor query, Tensor keys, Tensor values) =>
        nn.functional.scaled_dot_product_attention(query, keys, values).transpose(1, 2).flatten(2);

    // On devices other than the CPU the whole batch is one item.
    private static IEnumerable<Tensor> Items(Tensor batch) => batch.device_type != DeviceType.CPU
        ? [batch.alias()]
        : Enumerable.Range(0, (int)batch.shape[0]).Select(item => batch.slice(0, item, item + 1, 1));
}
