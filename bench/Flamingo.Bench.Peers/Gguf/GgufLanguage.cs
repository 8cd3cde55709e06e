using Flamingo.Bench.Synthesis;
using Flamingo.Checkpoints;

namespace Flamingo.Bench.Peers.Gguf;

/// <summary>
/// The language model of a geometry as llama.cpp knows it, under its architectures mpt, gptneox and llama. The gated blocks are left
/// out, because llama.cpp has none, and so are norms of queries and keys, because llama.cpp's mpt ends the process where a file has them.
/// Neither changes how fast a weight is read.
/// </summary>
public sealed record GgufLanguage(IReadOnlyDictionary<string, object> Keys, IReadOnlyList<GgufTensor> Tensors, long OutputParameters)
{
    /// <summary>Parameters of the matrices that decoding one token reads; the token embedding counts only where it is the output.</summary>
    public long MatrixParameters => Read.Sum(tensor => tensor.Elements);

    /// <summary>Bytes of the same matrices in the file.</summary>
    public long MatrixBytes => Read.Sum(tensor => tensor.Bytes);

    private bool IsTied => Tensors.All(tensor => tensor.Name != "output.weight");

    private IEnumerable<GgufTensor> Read =>
        Tensors.Where(tensor => tensor.Rows > 0 && (IsTied || tensor.Name != "token_embd.weight"));

    /// <param name="matrices">How matrices are held; vectors are always F32.</param>
    public static GgufLanguage Of(Geometry geometry, GgufType matrices)
    {
        var language = geometry.Language;
        var (architecture, biases) = (Architecture(language), geometry.Biases);
        var tensors = new List<GgufTensor> { Matrix("token_embd", language.Width, language.VocabularySize) };
        Norm("output_norm");
        if (!language.TiedEmbeddings) tensors.Add(Matrix("output", language.Width, language.VocabularySize));
        for (var layer = 0; layer < language.Layers; layer++)
        {
            var block = $"blk.{layer}";
            Norm($"{block}.attn_norm");
            if (architecture == "llama")
            {
                Linear($"{block}.attn_q", language.Width, language.Width);
                Linear($"{block}.attn_k", language.Width, language.KeyValueWidth);
                Linear($"{block}.attn_v", language.Width, language.KeyValueWidth);
                Linear($"{block}.ffn_gate", language.Width, language.FeedForwardWidth);
            }
            else
            {
                Linear($"{block}.attn_qkv", language.Width, language.Width + (2 * language.KeyValueWidth));
            }

            Linear($"{block}.attn_output", language.Width, language.Width);
            Norm($"{block}.ffn_norm");
            Linear($"{block}.ffn_up", language.Width, language.FeedForwardWidth);
            Linear($"{block}.ffn_down", language.FeedForwardWidth, language.Width);
        }

        return new GgufLanguage(KeysOf(language, architecture), tensors, (long)language.VocabularySize * language.Width);

        GgufTensor Matrix(string name, long inputs, long outputs) => new($"{name}.weight", matrices, inputs, outputs);

        void Linear(string name, long inputs, long outputs)
        {
            tensors.Add(Matrix(name, inputs, outputs));
            if (biases) tensors.Add(new($"{name}.bias", GgufType.F32, outputs, Constant: 0));
        }

        void Norm(string name)
        {
            tensors.Add(new($"{name}.weight", GgufType.F32, language.Width, Constant: 1));
            if (biases) tensors.Add(new($"{name}.bias", GgufType.F32, language.Width, Constant: 0));
        }
    }

    private static string Architecture(LanguageConfig language) =>
        language.Positions == "alibi" ? "mpt" : language.Norm == "rms_norm" ? "llama" : "gptneox";

    private static Dictionary<string, object> KeysOf(LanguageConfig language, string architecture)
    {
        var keys = new Dictionary<string, object>
        {
            ["general.architecture"] = architecture,
            ["general.name"] = "random weights",
            [$"{architecture}.context_length"] = (uint)language.ContextLength,
            [$"{architecture}.embedding_length"] = (uint)language.Width,
            [$"{architecture}.block_count"] = (uint)language.Layers,
            [$"{architecture}.feed_forward_length"] = (uint)language.FeedForwardWidth,
            [$"{architecture}.attention.head_count"] = (uint)language.Heads,
            [$"{architecture}.attention.head_count_kv"] = (uint)(language.KeyValueWidth / language.HeadWidth),
            [$"{architecture}.vocab_size"] = (uint)language.VocabularySize,
            ["tokenizer.ggml.model"] = "none",
        };
        var epsilon = architecture == "llama" ? "layer_norm_rms_epsilon" : "layer_norm_epsilon";
        keys[$"{architecture}.attention.{epsilon}"] = (float)language.NormEpsilon;
        if (architecture == "mpt")
        {
            keys["mpt.attention.max_alibi_bias"] = (float)language.AlibiMaxBias;
        }
        else
        {
            keys[$"{architecture}.rope.dimension_count"] = (uint)(language.HeadWidth * language.RotaryFraction);
            if (architecture == "gptneox") keys["gptneox.use_parallel_residual"] = language.ParallelResidual;
        }

        return keys;
    }
}
