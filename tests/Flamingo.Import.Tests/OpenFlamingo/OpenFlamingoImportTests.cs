using Flamingo.Import.Pickles;
using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.Checkpoints;
using Flamingo.Import.Sources;
using Flamingo.Import.Tests.Sources;
using Flamingo.Testing;

namespace Flamingo.Import.Tests.OpenFlamingo;

public sealed class OpenFlamingoImportTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Mpt1b_keeps_every_byte_under_canonical_names()
    {
        var source = Family("mpt1b", 1);
        var model = Run(source);
        Assert.Equal(("alibi", "full_width", 1e-5, true),
            (model.Config.Language.Positions, model.Config.Language.QueryKeyNorm, model.Config.Language.NormEpsilon,
                model.Config.Language.TiedEmbeddings));
        Assert.Equal((6, 64, 8, 64),
            (model.Config.Resampler.Layers, model.Config.Resampler.Latents, model.Config.Resampler.Heads,
                model.Config.Resampler.HeadWidth));
        Assert.Equal((2, 32, 2, 32, "quick_gelu"),
            (model.Config.Vision.Layers, model.Config.Vision.Width, model.Config.Vision.Heads, model.Config.Vision.ImageSize,
                model.Config.Vision.Activation));
        Assert.Equal(Enumerable.Range(0, model.Config.Language.Layers), model.Config.Language.CrossAttention.Layers);

        AssertSame(source.Language, "transformer.blocks.1.attn.Wqkv.weight", model, "language",
            "layers.1.attention.query_key_value.weight");
        AssertSame(source.Language, "transformer.blocks.0.mlp.mlp_down.weight", model, "language", "layers.0.feed_forward.down.weight");
        AssertSame(source.Language, "transformer.blocks.0.attn.q_ln.weight", model, "language", "layers.0.attention.query_norm.weight");
        AssertSame(source.Language, "transformer.ln_f.weight", model, "language", "final_norm.weight");
        AssertSame(source.Checkpoint, "lang_encoder.transformer.wte.weight", model, "language", "token_embedding.weight");
        AssertSame(source.Checkpoint, "lang_encoder.transformer.blocks.0.gated_cross_attn_layer.attn_gate", model, "language",
            "layers.0.gated_cross_attention.attention_gate");
        AssertSame(source.Checkpoint, "lang_encoder.transformer.blocks.0.gated_cross_attn_layer.attn.to_kv.weight", model, "language",
            "layers.0.gated_cross_attention.attention.key_value.weight");
        AssertSame(source.Checkpoint, "perceiver.layers.5.0.to_kv.weight", model, "resampler", "layers.5.0.to_kv.weight");
        AssertSame(source.Vision, "visual.proj", model, "vision", "proj");
        AssertSame(source.Vision, "visual.transformer.resblocks.1.attn.in_proj_weight", model, "vision",
            "transformer.resblocks.1.attn.in_proj_weight");
    }

    [Fact]
    public void Mpt7b_joins_shards_and_keeps_half_precision()
    {
        var source = Family("mpt7b", 2);
        var model = Run(source);
        Assert.Equal(("alibi", "none", 1e-4),
            (model.Config.Language.Positions, model.Config.Language.QueryKeyNorm, model.Config.Language.NormEpsilon));
        Assert.Equal(Enumerable.Range(0, model.Config.Language.Layers).Where(layer => layer % 2 == 1),
            model.Config.Language.CrossAttention.Layers);
        Assert.Equal(3, model.Config.Provenance!.Sources.Count(file => file.File.StartsWith("pytorch_model-", StringComparison.Ordinal)));
        using var language = model.OpenWeights("language");
        Assert.Equal("F16", language.Entries["layers.0.feed_forward.up.weight"].Dtype);
        Assert.Equal("F32", language.Entries["token_embedding.weight"].Dtype);
        Assert.DoesNotContain("lm_head.weight", language.Entries.Keys);
        AssertSame(source.Language, "transformer.blocks.1.ffn.up_proj.weight", model, "language", "layers.1.feed_forward.up.weight");
        AssertSame(source.Checkpoint, "lang_encoder.transformer.wte.weight", model, "language", "token_embedding.weight");
    }

    [Theory]
    [InlineData("module.", false)]
    [InlineData("", true)]
    [InlineData("module.", true)]
    public void A_checkpoint_may_be_wrapped(string prefix, bool nested)
    {
        var source = Family("mpt1b", 1);
        var wrapped = _folder["checkpoint.pt"];
        using (var plain = WeightSource.Open(source.Checkpoint))
        {
            var rotary = new SourceTensor("lang_encoder.transformer.blocks.0.attn.rotary_emb.inv_freq", "F32", [2], () => new byte[8]);
            TorchFile.WriteStateDict(wrapped, plain.Tensors.Values.Append(rotary), prefix, nested);
        }

        var (expected, found) = (Run(source, "plain"), Run(source with { Checkpoint = wrapped }, "wrapped"));
        foreach (var part in new[] { "vision", "resampler", "language" })
            Assert.Equal(expected.Config.Weights[part].Digest, found.Config.Weights[part].Digest);
    }

    /// <summary>
    /// openflamingo/OpenFlamingo-9B-deprecated uses LLaMA. Its checkpoint holds tensors that later versions remove before they save.
    /// </summary>
    [Fact]
    public void Version_1_holds_blocks_twice_and_buffers_of_the_vision_tower()
    {
        var source = Family("llama", 2);
        var first = _folder["checkpoint-v1.pt"];
        using (var plain = WeightSource.Open(source.Checkpoint))
        {
            const string Block = "lang_encoder.model.layers.", Second = "lang_encoder.gated_cross_attn_layers.";
            var twice = plain.Tensors.Values.Where(tensor => tensor.Name.StartsWith(Block, StringComparison.Ordinal))
                .Select(tensor =>
                {
                    var name = tensor.Name[Block.Length..].Replace(".gated_cross_attn_layer", "", StringComparison.Ordinal);
                    return tensor with { Name = Second + name };
                }).ToList();
            Assert.NotEmpty(twice);
            var positions = new SourceTensor("vision_encoder.embeddings.position_ids", "I64", [1, 17], () => new byte[17 * 8]);
            var rotary = new SourceTensor("lang_encoder.model.layers.0.decoder_layer.self_attn.rotary_emb.inv_freq", "F32", [2],
                () => new byte[8]);
            TorchFile.WriteStateDict(first, plain.Tensors.Values.Concat(twice).Append(positions).Append(rotary), "module.");
        }

        var (expected, found) = (Run(source, "v2"), Run(source with { Checkpoint = first }, "v1"));
        foreach (var part in new[] { "vision", "resampler", "language" })
            Assert.Equal(expected.Config.Weights[part].Digest, found.Config.Weights[part].Digest);
    }

    [Fact]
    public void GptNeox_takes_heads_apart_and_head_and_embeddings_from_the_checkpoint()
    {
        var source = Family("neox", 2);
        var model = Run(source);
        var language = model.Config.Language;
        Assert.Equal(("rotary", 1.0, false, false, 1e-3, 535),
            (language.Positions, language.RotaryFraction, language.ParallelResidual, language.TiedEmbeddings, language.NormEpsilon,
                language.VocabularySize));
        AssertSame(source.Checkpoint, "lang_encoder.gpt_neox.embed_in.weight", model, "language", "token_embedding.weight");
        AssertSame(source.Checkpoint, "lang_encoder.embed_out.weight", model, "language", "output.weight");
        AssertSame(source.Language, "gpt_neox.layers.2.mlp.dense_h_to_4h.bias", model, "language", "layers.2.feed_forward.up.bias");
        using var weights = WeightSource.Open(source.Language);
        using var file = model.OpenWeights("language");
        var (stored, wanted) = (weights.Tensors["gpt_neox.layers.1.attention.query_key_value.bias"].Read(),
            file.Read(file.Entries["layers.1.attention.query_key_value.bias"]).ToArray());
        const int Head = 16 * 2; // 16 values of 2 bytes each
        for (var head = 0; head < 4; head++)
            for (var part = 0; part < 3; part++)
                Assert.Equal(stored.AsSpan(((head * 3) + part) * Head, Head).ToArray(),
                    wanted.AsSpan(((part * 4) + head) * Head, Head).ToArray());
        Assert.Null(model.Config.Provenance.Note);
    }

    [Fact]
    public void Pythia_is_parallel_and_rotates_a_quarter()
    {
        var language = Run(Family("pythia", 4)).Config.Language;
        Assert.Equal(("rotary", 0.25, true), (language.Positions, language.RotaryFraction, language.ParallelResidual));
        Assert.Equal([3], language.CrossAttention.Layers);
    }

    [Fact]
    public void Llama_joins_projections_and_keeps_its_own_head()
    {
        var source = Family("llama", 2);
        var model = Run(source);
        var language = model.Config.Language;
        Assert.Equal(("rms_norm", "swiglu", 1e-4, null, false),
            (language.Norm, language.FeedForward, language.NormEpsilon, language.KeyValueHeads, language.TiedEmbeddings));
        Assert.Equal(new SpecialToken("<s>", 1), model.Config.Tokens.Beginning);
        Assert.Equal([541], model.Config.Tokens.Stop);
        AssertSame(source.Language, "lm_head.weight", model, "language", "output.weight");
        using var weights = WeightSource.Open(source.Language);
        using var file = model.OpenWeights("language");
        Assert.Equal(new[] { "q", "k", "v" }.SelectMany(part => weights.Tensors[$"model.layers.0.self_attn.{part}_proj.weight"].Read()),
            file.Read(file.Entries["layers.0.attention.query_key_value.weight"]).ToArray());
    }

    [Fact]
    public void A_head_with_fewer_rows_than_the_embeddings_gets_rows_of_zeros_and_a_word()
    {
        var source = Family("llama", 2);
        var language = Directory.CreateDirectory(_folder["language"]).FullName;
        foreach (var file in Directory.GetFiles(source.Language, "*.json")) File.Copy(file, Path.Combine(language, Path.GetFileName(file)));
        using (var weights = WeightSource.Open(source.Language))
            TorchFile.WriteStateDict(Path.Combine(language, "pytorch_model.bin"),
                weights.Tensors.Values.Select(tensor => tensor.Name == "lm_head.weight"
                    ? tensor with { Shape = [541, 64], Read = () => [.. tensor.Read().Take(541 * 64 * 4)] } : tensor));
        var model = Run(source with { Language = language });
        Assert.Contains("the last 3 tokens get logits of zero", model.Config.Provenance.Note, StringComparison.Ordinal);
        using var written = model.OpenWeights("language");
        Assert.Equal([544, 64], written.Entries["output.weight"].Shape);
        Assert.All(written.Read(written.Entries["output.weight"])[(541 * 64 * 4)..].ToArray(), value => Assert.Equal(0, value));
    }

    [Fact]
    public void Embeddings_may_have_more_rows_than_the_tokenizer_tokens_and_not_fewer()
    {
        var source = Family("neox", 2);
        Assert.Equal(600, Run(source with { Checkpoint = Checkpoint("large.pt", 600) }, "large").Config.Language.VocabularySize);
        var short_ = Assert.Throws<CheckpointException>(() => Run(source with { Checkpoint = Checkpoint("short.pt", 534) }, "short"));
        Assert.Contains("ids up to 534, the checkpoint's embeddings 534 rows", short_.Message, StringComparison.Ordinal);

        string Checkpoint(string name, int rows)
        {
            using var plain = WeightSource.Open(source.Checkpoint);
            TorchFile.WriteStateDict(_folder[name],
                plain.Tensors.Values.Select(tensor =>
                    tensor.Shape[0] != 535 ? tensor : tensor with { Shape = [rows, 64], Read = () => new byte[rows * 64 * 4] }));
            return _folder[name];
        }
    }

    [Theory]
    [InlineData("neox", "hidden_act", "\"gelu_new\"", "hidden_act is gelu_new")]
    [InlineData("llama", "hidden_act", "\"relu\"", "hidden_act is relu")]
    [InlineData("llama", "rope_scaling", "{\"type\": \"linear\", \"factor\": 2}", "rope_scaling")]
    [InlineData("llama", "head_dim", "32", "head_dim is 32")]
    public void A_variant_that_would_be_computed_wrongly_is_refused(string family, string member, string value, string named)
    {
        var source = Family(family, 2);
        var language = Directory.CreateDirectory(_folder["language"]).FullName;
        RepositoryFiles.Copy(source.Language, language);
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(language, "config.json")))!;
        config[member] = JsonNode.Parse(value);
        File.Delete(Path.Combine(language, "config.json"));
        File.WriteAllText(Path.Combine(language, "config.json"), config.ToJsonString());
        Assert.Contains(named, Assert.Throws<CheckpointException>(() => Run(source with { Language = language })).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void The_three_added_tokens_stand_behind_the_vocabulary()
    {
        var model = Run(Family("mpt1b", 1));
        Assert.Equal((new SpecialToken("<|endofchunk|>", 532), new SpecialToken("<image>", 533), new SpecialToken("<PAD>", 534)),
            (model.Config.Tokens.EndOfChunk, model.Config.Tokens.Image, model.Config.Tokens.Padding));
        Assert.Equal([532], model.Config.Tokens.Stop);
        Assert.Equal(535, model.Config.Language.VocabularySize);
        using var tokenizer = JsonDocument.Parse(File.ReadAllBytes(model.TokenizerPath));
        var last = tokenizer.RootElement.GetProperty("added_tokens").EnumerateArray().TakeLast(3).ToList();
        Assert.Equal(["<|endofchunk|>", "<image>", "<PAD>"], last.Select(token => token.GetProperty("content").GetString()));
        Assert.All(last, token => Assert.True(token.GetProperty("special").GetBoolean() && !token.GetProperty("normalized").GetBoolean()));
    }

    [Fact]
    public void Every_fault_stands_in_one_report_and_nothing_is_left_behind()
    {
        var source = Family("mpt1b", 1);
        var broken = _folder["checkpoint.pt"];
        using (var plain = WeightSource.Open(source.Checkpoint))
        {
            TorchFile.WriteStateDict(broken, plain.Tensors.Values
                .Where(tensor =>
                    tensor.Name is not ("perceiver.norm.bias"
                        or "lang_encoder.transformer.blocks.0.gated_cross_attn_layer.attn.to_q.weight"))
                .Select(tensor => tensor.Name == "perceiver.latents" ? tensor with { Shape = [tensor.Shape[1], tensor.Shape[0]] } : tensor)
                .Select(tensor =>
                    tensor.Name == "perceiver.layers.2.0.norm_media.weight"
                        ? new SourceTensor(tensor.Name, "I64", tensor.Shape, () => new byte[tensor.Shape[0] * 8]) : tensor)
                .Append(new SourceTensor("perceiver.surprise", "F32", [1], () => new byte[4])));
        }

        var report = Assert.Throws<CheckpointException>(() => Run(source with { Checkpoint = broken })).Message;
        Assert.Contains("missing: perceiver.norm.bias", report, StringComparison.Ordinal);
        Assert.Contains("missing: lang_encoder.transformer.blocks.0.gated_cross_attn_layer.attn.to_q.weight", report,
            StringComparison.Ordinal);
        Assert.Contains("unexpected: perceiver.surprise", report, StringComparison.Ordinal);
        Assert.Contains("misshapen: perceiver.layers.0.0.to_q.weight", report, StringComparison.Ordinal);
        Assert.Contains("perceiver.layers.2.0.norm_media.weight", report, StringComparison.Ordinal);
        Assert.Equal([broken], Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void Non_finite_weights_are_named_all_of_them()
    {
        var source = Family("mpt1b", 1);
        var broken = _folder["checkpoint.pt"];
        using (var plain = WeightSource.Open(source.Checkpoint))
        {
            TorchFile.WriteStateDict(broken, plain.Tensors.Values.Select(tensor => tensor.Name switch
            {
                "perceiver.norm.weight" => tensor with { Read = () => Spoiled(tensor, float.NaN) },
                "lang_encoder.transformer.wte.weight" => tensor with { Read = () => Spoiled(tensor, float.NegativeInfinity) },
                _ => tensor,
            }));
        }

        var report = Assert.Throws<CheckpointException>(() => Run(source with { Checkpoint = broken })).Message;
        Assert.Contains("non-finite: norm.weight", report, StringComparison.Ordinal);
        Assert.Contains("non-finite: token_embedding.weight", report, StringComparison.Ordinal);
        Assert.Equal([broken], Directory.GetFileSystemEntries(_folder.Path));

        static byte[] Spoiled(SourceTensor tensor, float value)
        {
            var bytes = tensor.Read();
            BitConverter.TryWriteBytes(bytes.AsSpan(bytes.Length - 4), value);
            return bytes;
        }
    }

    /// <summary>The importer refuses a tokenizer that the services would refuse to load.</summary>
    [Theory]
    [InlineData(1 << 20, 1, "the id 1048576 is not a token id")]
    [InlineData(600, 1025, "a token has 1025 characters; tokens have 1024 at most")]
    public void A_tokenizer_beyond_the_limits_of_services_is_refused(int id, int length, string named)
    {
        var source = Family("llama", 2);
        var language = Directory.CreateDirectory(_folder["language"]).FullName;
        RepositoryFiles.Copy(source.Language, language);
        var path = Path.Combine(language, "tokenizer.json");
        var json = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(path))!;
        json["added_tokens"]!.AsArray().Add(new System.Text.Json.Nodes.JsonObject { ["id"] = id, ["content"] = new string('<', length) });
        File.WriteAllText(path, json.ToJsonString());
        var refused = Assert.Throws<CheckpointException>(() => Run(source with { Language = language }));
        Assert.Contains(named, refused.Message, StringComparison.Ordinal);
        Assert.Contains("tokenizer.json", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_may_be_rounded_on_the_way()
    {
        var model = Run(Family("mpt7b", 2) with { Dtype = "BF16" });
        foreach (var part in new[] { "vision", "resampler", "language" })
        {
            using var file = model.OpenWeights(part);
            Assert.All(file.Entries.Values, entry => Assert.Equal("BF16", entry.Dtype));
        }

        Assert.Contains("BF16", model.Config.Provenance!.Note, StringComparison.Ordinal);
        Assert.Throws<CheckpointException>(() => Run(Family("mpt7b", 2) with { Dtype = "int4" }, "other"));
    }

    [Fact]
    public void A_missing_shard_and_an_unread_family_are_said()
    {
        var source = Family("mpt7b", 2);
        var language = Directory.CreateDirectory(_folder["language"]).FullName;
        RepositoryFiles.Copy(source.Language, language);
        File.Delete(Path.Combine(language, "pytorch_model-00002-of-00003.bin"));
        Assert.Contains("pytorch_model-00002-of-00003.bin",
            Assert.Throws<CheckpointException>(() => Run(source with { Language = language })).Message, StringComparison.Ordinal);

        File.Copy(Path.Combine(source.Language, "pytorch_model-00002-of-00003.bin"),
            Path.Combine(language, "pytorch_model-00002-of-00003.bin"));
        File.WriteAllText(Path.Combine(language, "config.json"), """{"model_type": "bloom"}""");
        Assert.Contains("'bloom'", Assert.Throws<CheckpointException>(() => Run(source with { Language = language })).Message,
            StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(language, "config.json"), """{"model_type": "mpt"}""");
        Assert.Throws<CheckpointException>(() => Run(source with { Language = language }));
    }

    internal static OpenFlamingoSource Family(string name, int every)
    {
        var folder = RepositoryFiles.Path("tests", "reference", "families", name);
        return new OpenFlamingoSource(Path.Combine(folder, "vision"), Path.Combine(folder, "language"),
            Path.Combine(folder, "checkpoint.pt"), every);
    }

    private ModelDirectory Run(OpenFlamingoSource source, string output = "model") =>
        OpenFlamingoImport.Run(source, _folder[output], null, CancellationToken.None);

    private static void AssertSame(string sourcePath, string sourceName, ModelDirectory model, string part, string name)
    {
        using var source = WeightSource.Open(sourcePath);
        using var file = model.OpenWeights(part);
        var (expected, entry) = (source.Tensors[sourceName], file.Entries[name]);
        Assert.Equal(expected.Dtype, entry.Dtype);
        Assert.Equal(expected.Shape, entry.Shape);
        Assert.True(file.Read(entry).SequenceEqual(expected.Read()), $"{name} differs from {sourceName}");
    }
}
