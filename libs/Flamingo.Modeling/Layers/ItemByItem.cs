using Flamingo.Modeling.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Layers;

/// <summary>
/// Steps of a batch that are computed one item after another, because torch decides by the size of a whole call how to
/// compute them, and an item's result must be the same bits alone and in any company: attention picks its tiles and
/// packing so, and elementwise functions give the elements behind the last whole vector of a thread's share to another
/// approximation. This holds for the CPU. Other devices get the whole batch at once: launching work there costs more than it, and
/// their results may differ in last bits with the size of a batch. Sums, products, layer norms and copies need no such care; for linear
/// layers see <see cref="Linear.ForwardTiled"/>.
/// </summary>
public static class ItemByItem
{
    /// <summary>Scaled dot-product attention; heads come back side by side.</summary>
    /// <param name="query">[batch, heads, rows, head]</param>
    /// <param name="keys">[batch, heads, columns, head]</param>
    /// <param name="values">[batch, heads, columns, head]</param>
    /// <returns>[batch, rows, heads × head]</returns>
    public static Tensor Attend(Tensor query, Tensor keys, Tensor values) => query.device_type != DeviceType.CPU
        ? Mix(query, keys, values)
        : cat(Items(query).Zip(Items(keys), Items(values)).Select(item => Mix(item.First, item.Second, item.Third)).ToArray(), 0);

    /// <summary>x σ(1.702 x) in place: the tensor is overwritten. This is CLIP's own approximation of GELU.</summary>
    public static Tensor QuickGelu(Tensor x)
    {
        var gate = x.mul(Scalars.Of(1.702));
        foreach (var item in Items(gate)) item.sigmoid_();
        return x.mul_(gate);
    }

    /// <summary>Exact GELU, in place: the tensor is overwritten.</summary>
    public static Tensor Gelu(Tensor x)
    {
        foreach (var item in Items(x)) nn.functional.gelu(item, inplace: true);
        return x;
    }

    private static Tensor Mix(Tensor query, Tensor keys, Tensor values) =>
        nn.functional.scaled_dot_product_attention(query, keys, values).transpose(1, 2).flatten(2);

    // On other devices than the CPU the whole batch counts as one item.
    private static IEnumerable<Tensor> Items(Tensor batch) => batch.device_type != DeviceType.CPU
        ? [batch.alias()]
        : Enumerable.Range(0, (int)batch.shape[0]).Select(item => batch.slice(0, item, item + 1, 1));
}
