using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Network.Attention;

/// <summary>
/// What one query row sees: the first <paramref name="Length"/> keys of the sequence whose block table begins at <paramref name="Table"/>
/// in <see cref="AttentionRows.Tables"/>. In self-attention its own position is Length − 1.
/// A row of length 0 sees nothing and gets zeros: padding, or text before any picture.
/// </summary>
public readonly record struct AttentionRow(int Table, int Length);

/// <summary>The rows of one call. Rows of one sequence's prefill chunk share a table, their lengths rising by one.</summary>
/// <param name="Tables">
/// Block numbers of all sequences, table behind table: key j lies in block <c>Tables[row.Table + j / blockTokens]</c>.
/// </param>
public record AttentionRows(int[] Tables, AttentionRow[] Rows);

/// <summary>
/// Scaled dot-product attention over keys and values that lie in blocks (Kwon et al. 2023, PagedAttention): self-attention with blocks
/// of some tokens, cross-attention with one block of all latents per picture. Pools are contiguous [blocks, heads, blockTokens, head];
/// new keys and new values are [rows, heads × head], a query [rows, heads × group × head], where query heads that stand side by side share
/// one head of keys and values; all may be views with a row stride, such as a chunk of a joined projection.
/// All methods throw <see cref="ArgumentException"/> for shapes, dtypes or block numbers that do not fit.
/// </summary>
public interface IBlockAttention
{
    /// <summary>
    /// Whether keys and values of a whole block may be read, and given no weight, where a row sees only its first ones: then what lies
    /// behind must be finite, so a block must be cleared before it is handed out (<see cref="BlockStore.Clear"/>).
    /// </summary>
    bool ReadsWholeBlocks => false;

    /// <summary>
    /// Makes once what all layers of a step need of its rows, and returns rows to call <see cref="Append"/> and <see cref="Forward"/>
    /// with. Without it each of these calls makes it anew. Tensors belong to the caller's scope.
    /// </summary>
    /// <param name="pool">Any of the pools, for its shape.</param>
    /// <param name="group">Query heads that share one head of keys and values.</param>
    /// <param name="slopes">As for <see cref="Forward"/>.</param>
    /// <param name="appends">Whether <see cref="Append"/> will be called with these rows.</param>
    AttentionRows Prepare(AttentionRows rows, Tensor pool, int group, float[]? slopes, bool appends) => rows;

    /// <summary>Writes each row's key and value into the pools at its own position, Length − 1; rows of length 0 write nothing.</summary>
    void Append(Tensor keys, Tensor values, Tensor newKeys, Tensor newValues, AttentionRows rows);

    /// <summary>softmax(query · keys × head^−0.5 + bias) · values.</summary>
    /// <param name="slopes">ALiBi slope per query head, bias slope × (j − (Length − 1)); null for none.</param>
    /// <returns>A new contiguous tensor of the caller's scope, shaped like the query, in the query's dtype.</returns>
    Tensor Forward(Tensor query, Tensor keys, Tensor values, AttentionRows rows, float[]? slopes);

    /// <summary>The softmax of one row, for attention maps: f32 [query heads, Length].</summary>
    float[] Weights(Tensor query, Tensor keys, AttentionRows rows, int row, float[]? slopes);
}
