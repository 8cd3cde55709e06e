using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Network.Attention;

/// <summary>
/// The keys that one query row attends to: the first <paramref name="Length"/> keys of the sequence whose block table begins at
/// <paramref name="Table"/> in <see cref="AttentionRows.Tables"/>. In self-attention the row's own position is Length − 1. A row
/// of length 0 attends to nothing and its output is zero; this is a padding row, or text before any picture.
/// </summary>
public readonly record struct AttentionRow(int Table, int Length);

/// <summary>The rows of one call. The rows of one prefill chunk share a table, and their lengths increase by one.</summary>
/// <param name="Tables">
/// Block numbers of all sequences, one table after the other. Key j is in block <c>Tables[row.Table + j / blockTokens]</c>.
/// </param>
public record AttentionRows(int[] Tables, AttentionRow[] Rows);

/// <summary>
/// Scaled dot-product attention over keys and values that are stored in blocks (Kwon et al. 2023, PagedAttention). In
/// self-attention a block holds a few tokens; in cross-attention a block holds all latents of one picture. Pools are contiguous
/// [blocks, heads, blockTokens, head];
/// new keys and new values are [rows, heads × head], a query [rows, heads × group × head], where adjacent query heads share one
/// head of keys and values. All of them may be views with a row stride, such as a part of a joined projection.
/// All methods throw <see cref="ArgumentException"/> for shapes, dtypes or block numbers that do not fit.
/// </summary>
public interface IBlockAttention
{
    /// <summary>
    /// Whether the implementation may read all keys and values of a block, with weight zero, where a row attends only to the
    /// first ones. The others must then be finite, so a block must be cleared before its first use
    /// (<see cref="BlockStore.Clear"/>).
    /// </summary>
    bool ReadsWholeBlocks => false;

    /// <summary>
    /// Computes once what all layers of a step need about its rows, and returns the rows to pass to <see cref="Append"/> and
    /// <see cref="Forward"/>. Without this call, each of those calls computes it again. The tensors belong to the caller's scope.
    /// </summary>
    /// <param name="pool">Any of the pools; only its shape and device are used.</param>
    /// <param name="group">Number of query heads that share one head of keys and values.</param>
    /// <param name="slopes">As for <see cref="Forward"/>.</param>
    /// <param name="appends">Whether <see cref="Append"/> will be called with these rows.</param>
    AttentionRows Prepare(AttentionRows rows, Tensor pool, int group, float[]? slopes, bool appends) => rows;

    /// <summary>Writes each row's key and value into the pools at its own position, Length − 1; rows of length 0 write nothing.</summary>
    void Append(Tensor keys, Tensor values, Tensor newKeys, Tensor newValues, AttentionRows rows);

    /// <summary>Computes softmax(query · keys × head^−0.5 + bias) · values.</summary>
    /// <param name="slopes">ALiBi slope per query head, bias slope × (j − (Length − 1)); null for none.</param>
    /// <returns>A new contiguous tensor in the caller's scope, with the shape and dtype of the query.</returns>
    Tensor Forward(Tensor query, Tensor keys, Tensor values, AttentionRows rows, float[]? slopes);

    /// <summary>Returns the attention weights of one row, for attention maps: f32 [query heads, Length].</summary>
    float[] Weights(Tensor query, Tensor keys, AttentionRows rows, int row, float[]? slopes);
}
