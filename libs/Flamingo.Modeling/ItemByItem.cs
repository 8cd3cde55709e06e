using static TorchSharp.torch;

namespace Flamingo.Modeling;

/// <summary>
/// Steps of a batch that are computed one item after another, because torch decides by the size of a whole call how to
/// compute them, and an item's result must be the same bits alone and in any company: attention picks its tiles and
/// packing so, and elementwise functions give the elements behind the last whole vector of a thread's share to another
/// approximation. Sums, products, layer norms and copies need no such care; for linear layers see <see cref="Linear.ForwardTiled"/>.
/// </summary>
public static class ItemByItem
{
    /// <summary>Scaled dot-product attention; heads come back side by side.</summary>
    /// <param name="query">[batch, heads, rows, head]</param>
    /// <param name="keys">[batch, heads, columns, head]</param>
    /// <param name="values">[batch, heads, columns, head]</param>
    /// <returns>[batch, rows, heads × head]</returns>
    public static Tensor Attend(Tensor query, Tensor keys, Tensor values) => cat(Items(query).Zip(Items(keys), Items(values))
        .Select(item => nn.functional.scaled_dot_product_attention(item.First, item.Second, item.Third).transpose(1, 2).flatten(2)).ToArray(), 0);

    /// <summary>x σ(1.702 x) of a tensor that nobody else needs; CLIP's own approximation of GELU.</summary>
    public static Tensor QuickGelu(Tensor x)
    {
        var gate = x * 1.702;
        foreach (var item in Items(gate)) item.sigmoid_();
        return x.mul_(gate);
    }

    /// <summary>Exact GELU of a tensor that nobody else needs.</summary>
    public static Tensor Gelu(Tensor x)
    {
        foreach (var item in Items(x)) nn.functional.gelu(item, inplace: true);
        return x;
    }

    private static IEnumerable<Tensor> Items(Tensor batch) => Enumerable.Range(0, (int)batch.shape[0]).Select(item => batch.slice(0, item, item + 1, 1));
}
