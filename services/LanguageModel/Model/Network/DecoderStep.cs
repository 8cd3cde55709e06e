using Flamingo.Abstractions;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Network;

/// <summary>The input of one forward pass, with one row per new token of any number of sequences.</summary>
/// <param name="Ids">Token id of each row.</param>
/// <param name="Text">Text positions that each row attends to, of which its own is the last; length 0 for padding rows.</param>
/// <param name="Pictures">Latents that each row attends to; length 0 for rows before any picture.</param>
/// <param name="Probe">Collects cross-attention weights during the pass; null for none.</param>
public sealed record DecoderStep(int[] Ids, AttentionRows Text, AttentionRows Pictures, AttentionProbe? Probe = null);

/// <summary>Collects cross-attention weights of some rows: the mean over chosen layers and heads.</summary>
public sealed class AttentionProbe(int layers, int heads)
{
    private readonly Dictionary<int, (AttentionChoice Choice, float[]? Sum)> _rows = [];

    public IEnumerable<int> Rows => _rows.Keys.ToList();

    public void Add(int row, AttentionChoice choice) => _rows.Add(row, (choice, null));

    public bool Wants(int row, int block) => _rows[row].Choice.Layers.Count == 0 || _rows[row].Choice.Layers.Contains(block);

    /// <param name="weights">Weights [heads, latents] of one gated block.</param>
    public void Collect(int row, ReadOnlySpan<float> weights)
    {
        var (choice, sum) = _rows[row];
        var latents = weights.Length / heads;
        var chosen = choice.Heads.Count == 0 ? [.. Enumerable.Range(0, heads)] : choice.Heads;
        var parts = chosen.Count * (choice.Layers.Count == 0 ? layers : choice.Layers.Count);
        sum ??= new float[latents];
        foreach (var head in chosen)
            for (var latent = 0; latent < latents; latent++) sum[latent] += weights[(head * latents) + latent] / parts;
        _rows[row] = (choice, sum);
    }

    /// <returns>Weights [latents], or null for a row that attends to no picture.</returns>
    public float[]? Of(int row) => _rows.TryGetValue(row, out var known) ? known.Sum : null;
}
