using Flamingo.Checkpoints;
using Flamingo.LanguageModel.Network.Attention;
using Flamingo.LanguageModel.Network.FewRows;
using Flamingo.Modeling.Devices;
using Flamingo.Modeling.Kernels;
using Flamingo.Modeling.Weights;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Network;

/// <summary>
/// The frozen decoder with gated cross-attention before some of its layers, driven by <see cref="LanguageConfig"/>.
/// It serves all model families: MPT (ALiBi), GPT-NeoX (rotary, sequential or parallel residual), LLaMA and IDEFICS (rotary, RMSNorm,
/// SwiGLU, optionally grouped heads). Rows of any number of sequences are computed together: linear layers process all rows at
/// once, and attention reads only the keys and values of each row's own sequence.
/// </summary>
public sealed class Decoder : IDisposable
{
    private readonly LanguageConfig _config;
    private readonly Tensor _tokenEmbedding;
    private readonly WeightMatrix _output;
    private readonly Rotary? _rotary;
    private readonly DecoderLayer[] _layers;
    private readonly Dictionary<int, (int Block, GatedCrossAttention Attention)> _gated;
    private readonly Norm _finalNorm;
    private readonly Device _device;
    private readonly DeviceTransfer _transfer;
    private readonly float[]? _slopes;

    public Decoder(LanguageConfig config, WeightsReader weights, Device device)
    {
        Refuse("language.positions", config.Positions, "alibi", "rotary");
        Refuse("language.query_key_norm", config.QueryKeyNorm, "none", "full_width");
        (_config, _device, _transfer) = (config, device, new DeviceTransfer(device));
        if (config.Positions == "alibi") _slopes = Alibi.Slopes(config.Heads, config.AlibiMaxBias);
        _tokenEmbedding = weights.Take("token_embedding.weight", config.VocabularySize, config.Width);
        if (config.Positions == "rotary")
            _rotary = new Rotary(config.HeadWidth, config.RotaryFraction, config.RotaryBase, config.ContextLength, device);
        _layers = [.. Enumerable.Range(0, config.Layers).Select(layer => new DecoderLayer(config, weights, $"layers.{layer}"))];
        _gated = config.CrossAttention.Layers.Index().ToDictionary(
            item =>
                item.Item, item =>
                    (
                        item.Index,
                        new GatedCrossAttention(
                            config.CrossAttention, config.Width, weights, $"layers.{item.Item}.gated_cross_attention")));
        _finalNorm = new Norm(config.Norm, weights, "final_norm", config.Width, config.NormEpsilon);
        _output = config.TiedEmbeddings
            ? weights.Share(_tokenEmbedding)
            : weights.TakeMatrix("output.weight", config.VocabularySize, config.Width);
    }

    /// <summary>Number of gated cross-attention blocks.</summary>
    public int GatedBlocks => _gated.Count;

    /// <summary>Transfers data between the host and the device of the decoder.</summary>
    public DeviceTransfer Transfer => _transfer;

    /// <summary>Data type of all computation.</summary>
    public ScalarType Dtype => _tokenEmbedding.dtype;

    public BlockStore NewTextStore(int blocks, int blockTokens) =>
        new(_config.Layers, blocks, _config.KeyValueWidth / _config.HeadWidth, blockTokens, _config.HeadWidth, Dtype, _device);

    /// <param name="slots">Number of pictures held at once.</param>
    public BlockStore NewPictureStore(int slots, int latents) =>
        new(_gated.Count, slots, _config.CrossAttention.Heads, latents, _config.CrossAttention.HeadWidth, Dtype, _device);

    /// <summary>Computes a picture's keys and values for every gated block.</summary>
    /// <param name="latents">[latents, latent width]</param>
    public void Project(Tensor latents, BlockStore pictures, int slot)
    {
        foreach (var (block, attention) in _gated.Values) attention.Project(latents, pictures[block], slot);
    }

    /// <summary>Computes the hidden states of new rows, and writes their keys and values into the text store.</summary>
    /// <returns>[rows, width], before the output projection.</returns>
    public Tensor Forward(DecoderStep step, BlockStore text, BlockStore pictures, IBlockAttention attention)
    {
        // one upload of the token ids, followed by the positions if the model uses rotary positions
        var rowCount = step.Ids.Length;
        var numbers = new long[_rotary is null ? rowCount : 2 * rowCount];
        for (var row = 0; row < rowCount; row++) numbers[row] = step.Ids[row];
        for (var row = rowCount; row < numbers.Length; row++) numbers[row] = Math.Max(0, step.Text.Rows[row - rowCount].Length - 1);
        var uploaded = _transfer.Upload(numbers);
        var x = _tokenEmbedding.index_select(0, uploaded.slice(0, 0, rowCount, 1));                                  // [rows, width]
        var rotation = _rotary?.Of(uploaded.slice(0, rowCount, numbers.Length, 1));
        var textRows = attention.Prepare(step.Text, text[0].Keys, _config.Width / _config.KeyValueWidth, _slopes, appends: true);
        var pictureRows = _gated.Count > 0
            ? attention.Prepare(step.Pictures, pictures[0].Keys, group: 1, slopes: null, appends: false)
            : step.Pictures;
        for (var layer = 0; layer < _layers.Length; layer++)
        {
            using var scope = NewDisposeScope(); // frees the intermediate tensors of a long prompt after each layer
            if (_gated.TryGetValue(layer, out var gated))
                x = gated.Attention.Forward(x, gated.Block, pictures[gated.Block], pictureRows, attention, step.Probe);
            x = _layers[layer].Forward(x, rotation, text[layer], textRows, _slopes, attention).MoveToOuterDisposeScope();
        }

        return _finalNorm.Forward(x);
    }

    /// <summary>
    /// Returns a decoder of few rows that reads these weights and stores, which must outlive it; null if the decoder is not on the CPU or
    /// not in bfloat16, or if a matrix has a number of inputs that is no multiple of 16.
    /// </summary>
    /// <param name="pictures">The picture store, whose blocks hold all latents of a picture.</param>
    /// <param name="mostRows">Most rows of a step.</param>
    /// <param name="team">Threads that compute a step.</param>
    public FewRowDecoder? ForFewRows(BlockStore text, BlockStore pictures, int mostRows, ComputeTeam team)
    {
        var linears = _layers.SelectMany(layer => layer.Linears).Concat(_gated.Values.SelectMany(gated => gated.Attention.Linears));
        if (Dtype != ScalarType.BFloat16 || _output.Memory() is not { } output) return null;
        if (linears.Any(linear => linear.Memory() is null)) return null;
        var group = _config.Width / _config.KeyValueWidth;
        var plan = new FewRowPlan(
            new FewRowState(_config, mostRows), BlockLayout.Of(text[0].Keys, group),
            _gated.Count > 0 ? BlockLayout.Of(pictures[0].Keys, 1) : default);
        for (var layer = 0; layer < _layers.Length; layer++)
        {
            if (_gated.TryGetValue(layer, out var gated)) gated.Attention.AddTo(plan, pictures.AddressesOf(gated.Block));
            _layers[layer].AddTo(plan, text.AddressesOf(layer), _rotary?.ForRows(_config.HeadWidth), _slopes);
        }

        plan.Add(new LogitPhase(plan.State, _finalNorm.ForRows(), output));
        using TensorMemory embedding = new(_tokenEmbedding);
        return new FewRowDecoder(plan, team, embedding.Address);
    }

    /// <param name="hidden">[rows, width]</param>
    /// <returns>[rows, vocabulary]</returns>
    public Tensor Logits(Tensor hidden) => _output.Multiply(hidden);

    public void Dispose()
    {
        _transfer.Dispose();
        _tokenEmbedding.Dispose();
        _output.Dispose();
        _rotary?.Dispose();
        _finalNorm.Dispose();
        foreach (var layer in _layers) layer.Dispose();
        foreach (var (_, attention) in _gated.Values) attention.Dispose();
    }

    private static void Refuse(string field, string value, params ReadOnlySpan<string> known)
    {
        if (!known.Contains(value))
            throw new CheckpointException(
                $"flamingo.json: {field} is '{value}'; this build computes {string.Join(" or ", known.ToArray())}.");
    }
}
