using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Network.Attention;

namespace Flamingo.LanguageModel.Network.FewRows;

/// <summary>
/// The numbers of one step, which the phases hand on: every buffer holds bf16 numbers as f32. A step sets the rows; the buffers are for
/// <see cref="MostRows"/>.
/// </summary>
internal sealed class FewRowState
{
    private const int TileRows = 16;

    public FewRowState(LanguageConfig config, int mostRows)
    {
        var cross = config.CrossAttention;
        var inner = cross.Layers.Count == 0 ? 0 : cross.Heads * cross.HeadWidth;
        MostRows = mostRows;
        (X, Y) = (new FloatRows(mostRows, config.Width), new FloatRows(mostRows, config.Width));
        Joined = new FloatRows(mostRows, Math.Max(config.Width + (2 * config.KeyValueWidth), inner));
        QueryWidth = Math.Max(config.Width, inner);
        (Query, Attended) = (new BFloat16Rows(mostRows, QueryWidth), new FloatRows(mostRows, QueryWidth));
        Hidden = new FloatRows(mostRows, Math.Max(config.FeedForwardWidth, cross.Layers.Count == 0 ? 0 : cross.FeedForwardWidth));
        Logits = new FloatRows(mostRows, config.VocabularySize);
        MostWidth = Math.Max(Math.Max(QueryWidth, Joined.Width), config.Width);
    }

    public int MostRows { get; }

    /// <summary>Largest width of a query.</summary>
    public int QueryWidth { get; }

    /// <summary>Largest width of a row that is normalised or split into heads.</summary>
    public int MostWidth { get; }

    /// <summary>The hidden states [rows, width] before and after a block of the residual stream; blocks read X and end in X.</summary>
    public FloatRows X { get; }

    /// <summary>The hidden states [rows, width] between attention and feed-forward.</summary>
    public FloatRows Y { get; }

    /// <summary>Queries, keys and values [rows, query ∥ key ∥ value], or the queries of a gated block [rows, heads × head].</summary>
    public FloatRows Joined { get; }

    /// <summary>The queries that attention reads [rows, heads × head].</summary>
    public BFloat16Rows Query { get; }

    /// <summary>The result of attention [rows, heads × head].</summary>
    public FloatRows Attended { get; }

    /// <summary>The activated hidden layer of a feed-forward network [rows, hidden].</summary>
    public FloatRows Hidden { get; }

    /// <summary>[logit rows, vocabulary]</summary>
    public FloatRows Logits { get; }

    public AttentionRows Text { get; private set; } = new([], []);

    public AttentionRows Pictures { get; private set; } = new([], []);

    public List<RowTile> TextTiles { get; private set; } = [];

    public List<RowTile> PictureTiles { get; private set; } = [];

    /// <summary>Number of rows of the step.</summary>
    public int Rows => Text.Rows.Length;

    /// <summary>Rows whose logits are wanted.</summary>
    public int[] LogitRows { get; private set; } = [];

    public void Begin(DecoderStep step, int[] logitRows)
    {
        (Text, Pictures, LogitRows) = (step.Text, step.Pictures, logitRows);
        (TextTiles, PictureTiles) = (RowTile.Split(Text.Rows, TileRows), RowTile.Split(Pictures.Rows, TileRows));
    }

    /// <summary>Whether a row attends to a picture.</summary>
    public bool Sees(int row) => Pictures.Rows[row].Length > 0;
}

/// <summary>The working memory of one thread.</summary>
internal sealed class FewRowWorker(FewRowState state)
{
    /// <summary>Most outputs of a product that a thread computes at a time.</summary>
    public const int MostOutputs = 64;

    /// <summary>Normalised rows, the input of a product; or a row that is split into heads.</summary>
    public FloatRows Normed { get; } = new(state.MostRows, state.MostWidth);

    /// <summary>Results of a product [rows, <see cref="MostOutputs"/>].</summary>
    public FloatRows Results { get; } = new(state.MostRows, MostOutputs);

    /// <summary>Results of the second product of a gated activation.</summary>
    public FloatRows Gate { get; } = new(state.MostRows, MostOutputs);

    public FloatRows Scratch { get; } = new(1, Modeling.Kernels.MatrixMemory.ScratchFloats);

    /// <summary>Queries, keys and values of a row, or the result of attention.</summary>
    public BFloat16Rows Heads { get; } = new(state.MostRows, state.MostWidth);

    public TileScratch Tile { get; } = new();

    public TileAttention<ushort>? Attention { get; set; }
}
