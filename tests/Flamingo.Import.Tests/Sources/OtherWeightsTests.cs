using Flamingo.Checkpoints;
using Flamingo.Import.Sources;
using Flamingo.Import.Tests.OpenFlamingo;
using Flamingo.Testing;

namespace Flamingo.Import.Tests.Sources;

/// <summary>Tests the messages about files that users name by mistake instead of a model's weights.</summary>
public sealed class OtherWeightsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void An_adapters_folder_is_told_in_both_layouts()
    {
        var folder = Directory.CreateDirectory(_folder["lora"]).FullName;
        File.WriteAllText(Path.Combine(folder, "adapter_config.json"),
            """{"peft_type": "LORA", "base_model_name_or_path": "huggyllama/llama-7b"}""");
        Write(Path.Combine(folder, "adapter_model.safetensors"), "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight");
        var idefics = Assert.Throws<CheckpointException>(() =>
            IdeficsImport.Run(new IdeficsSource(folder), _folder["model"], null, CancellationToken.None));
        foreach (var message in new[] { Refused(OpenFlamingoImportTests.Family("llama", 2) with { Language = folder }), idefics.Message })
        {
            Assert.Contains("LoRA", message, StringComparison.Ordinal);
            Assert.Contains("huggyllama/llama-7b", message, StringComparison.Ordinal);
            Assert.Contains("merge_and_unload", message, StringComparison.Ordinal);
        }

        Assert.Contains("LoRA adapter", Refused(
            OpenFlamingoImportTests.Family("llama", 2) with { Checkpoint = Path.Combine(folder, "adapter_model.safetensors") }),
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("model.layers.0.self_attn.q_proj.qweight")]
    [InlineData("model.layers.0.self_attn.q_proj.SCB")]
    [InlineData("model.layers.0.mlp.up_proj.weight.quant_state.bitsandbytes__nf4")]
    public void Quantised_weights_are_told_by_their_tensors(string tensor)
    {
        var folder = Copy("llama", "language");
        foreach (var file in Directory.GetFiles(folder, "*.safetensors")) File.Delete(file);
        Write(Path.Combine(folder, "model.safetensors"), tensor);
        var refused = Refused(OpenFlamingoImportTests.Family("llama", 2) with { Language = folder });
        Assert.Contains("quantised", refused, StringComparison.Ordinal);
        Assert.Contains("Take the publication that is not quantised", refused, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("model.gguf", "GGUF\u0003", "llama.cpp")]
    [InlineData("pytorch_model.bin", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull")]
    [InlineData("model.safetensors", "<!DOCTYPE html><html>", "web page")]
    [InlineData("tf_model.h5", "\u0089HDF", "tf_model.h5")]
    public void Files_that_are_no_weights_are_told_by_their_beginning(string name, string begin, string told)
    {
        var folder = Directory.CreateDirectory(_folder["language"]).FullName;
        File.WriteAllText(Path.Combine(folder, name), begin + new string(' ', 100));
        Assert.Contains(told, Refused(OpenFlamingoImportTests.Family("llama", 2) with { Language = folder }), StringComparison.Ordinal);
    }

    [Fact]
    public void Several_candidates_are_named_and_one_is_taken()
    {
        var source = OpenFlamingoImportTests.Family("mpt7b", 2);
        var folder = Directory.CreateDirectory(_folder["checkpoints"]).FullName;
        File.Copy(source.Checkpoint, Path.Combine(folder, "checkpoint_0.pt"));
        var model = OpenFlamingoImport.Run(source with { Checkpoint = folder }, _folder["one"], null, CancellationToken.None);
        Assert.Equal("checkpoint_0.pt",
            Assert.Single(model.Config.Provenance.Sources, file => file.File.EndsWith(".pt", StringComparison.Ordinal)).File);
        File.Copy(source.Checkpoint, Path.Combine(folder, "checkpoint_1.pt"));
        Assert.Contains("2 checkpoints: checkpoint_0.pt, checkpoint_1.pt. Name the one", Refused(source with { Checkpoint = folder }),
            StringComparison.Ordinal);
    }

    /// <summary>
    /// The importer recognises the interval of the gated blocks from the checkpoint and names it, instead of listing many missing and
    /// unexpected tensors.
    /// </summary>
    [Theory]
    [InlineData("mpt1b", 2, 1)]
    [InlineData("mpt7b", 1, 2)]
    [InlineData("mpt7b", 4, 2)]
    [InlineData("mpt7b", 9, 2)]
    [InlineData("pythia", 1, 4)]
    [InlineData("pythia", 2, 4)]
    public void A_wrong_cross_attention_every_is_told_with_the_right_one(string family, int every, int right)
    {
        var refused = Refused(OpenFlamingoImportTests.Family(family, every));
        Assert.Contains($"which is not --cross-attention-every {every}. It is --cross-attention-every {right}.", refused,
            StringComparison.Ordinal);
        Assert.DoesNotContain("unexpected:", refused, StringComparison.Ordinal);
    }

    [Fact]
    public void A_checkpoint_of_another_family_or_without_gated_blocks_is_told()
    {
        var source = OpenFlamingoImportTests.Family("mpt7b", 2);
        Assert.Contains("they are of two families",
            Refused(source with { Checkpoint = OpenFlamingoImportTests.Family("neox", 2).Checkpoint }), StringComparison.Ordinal);
        Assert.Contains("holds no gated blocks",
            Refused(source with { Checkpoint = Path.Combine(OpenFlamingoImportTests.Family("llama", 2).Language, "model.safetensors") }),
            StringComparison.Ordinal);
    }

    private string Refused(OpenFlamingoSource source) =>
        Assert.Throws<CheckpointException>(() => OpenFlamingoImport.Run(source, _folder["model"], null, CancellationToken.None)).Message;

    private string Copy(string family, string part)
    {
        var folder = Directory.CreateDirectory(_folder[part]).FullName;
        RepositoryFiles.Copy(RepositoryFiles.Path("tests", "reference", "families", family, part), folder);
        return folder;
    }

    private static void Write(string file, string tensor) =>
        SafetensorsWriter.Write(file, new Dictionary<string, SourceTensor> { [tensor] = new(tensor, "F32", [1], () => new byte[4]) }, null,
            (_, _) => { }, [], CancellationToken.None);
}
