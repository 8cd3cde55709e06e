using System.Globalization;
using System.Text.RegularExpressions;
using Flamingo.Bench.Synthesis;

namespace Flamingo.Bench.Publications;

/// <summary>
/// Maps canonical tensor names to a publication's names. <c>{0}</c> is the index of the layer, <c>{1}</c> the index among the gated
/// blocks. If one canonical matrix is published as several matrices, each of them has the same number of its rows.
/// </summary>
internal sealed partial class PublishedNames(IReadOnlyDictionary<string, string[]> parts, IReadOnlyList<int> gatedLayers)
{
    /// <exception cref="KeyNotFoundException">The publication has no such part.</exception>
    public IEnumerable<SyntheticTensor> Of(SyntheticTensor tensor)
    {
        var match = Canonical().Match(tensor.Name);
        var layer = match.Groups["layer"] is { Success: true } digits ? int.Parse(digits.ValueSpan, CultureInfo.InvariantCulture) : 0;
        var (block, kind) = (gatedLayers.Index().FirstOrDefault(gated => gated.Item == layer).Index, match.Groups["kind"].Value);
        var names = parts[match.Groups["part"].Value];
        foreach (var name in names)
        {
            var spelled = string.Format(CultureInfo.InvariantCulture, name, layer, block);
            yield return tensor with { Name = kind.Length == 0 ? spelled : $"{spelled}.{kind}",
                Shape = [tensor.Shape[0] / names.Length, .. tensor.Shape.Skip(1)] };
        }
    }

    // layers.3.attention.output.weight, transformer.resblocks.3.attn.in_proj_bias, class_embedding
    [GeneratedRegex(@"^(?:(?:layers|transformer\.resblocks)\.(?<layer>\d+)\.)?(?<part>.+?)(?:[._](?<kind>weight|bias))?$")]
    private static partial Regex Canonical();
}
