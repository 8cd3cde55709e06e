using System.Text.Json.Nodes;
using Flamingo.Cli.Tests.Running;
using Flamingo.Testing;

namespace Flamingo.Cli.Tests.Importing;

/// <summary>Tests the errors and warnings of an import.</summary>
public sealed class ImportReportTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>An import rejects a tokenizer that a service would reject at its start, and names the published file.</summary>
    [Fact]
    public async Task A_tokenizer_that_services_do_not_read_ends_the_import()
    {
        Change("tokenizer.json", json => json["model"]!["dropout"] = 0.1);
        var refused = (await ImportAsync()).MustReturn(1);
        Assert.Contains("dropout", refused.Error, StringComparison.Ordinal);
        Assert.Contains(_folder.File("source/tokenizer.json"), refused.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.File("model")));
    }

    [Fact]
    public async Task A_key_that_is_not_computed_ends_the_import_and_an_unknown_one_is_a_warning()
    {
        Change("config.json", json => json["unheard_of"] = 1);
        var warned = (await ImportAsync()).MustReturn(0);
        Assert.Contains("Warning: ", warned.Error, StringComparison.Ordinal);
        Assert.Contains("leaves out of account: unheard_of.", warned.Error, StringComparison.Ordinal);

        Change("config.json", json => json["cross_layer_activation_function"] = "gelu");
        var refused = (await ImportAsync("another")).MustReturn(1);
        Assert.Contains("cross_layer_activation_function is gelu, in ", refused.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_with_several_checkpoints_is_told_what_to_name()
    {
        string Part(string part) => RepositoryFiles.Path("tests", "reference", "families", "mpt1b", part);
        string[] import = ["import", "--layout", "openflamingo", "--vision", Part("vision"), "--language", Part("language"),
            "--cross-attention-every", "1", "--output", _folder.File("model"), "--checkpoint"];
        Directory.CreateDirectory(_folder.File("checkpoints"));
        foreach (var name in new[] { "checkpoint_0.pt", "checkpoint_1.pt" }) File.Copy(Part("checkpoint.pt"),
            Path.Combine(_folder.File("checkpoints"), name));
        Assert.Contains("checkpoint_0.pt, checkpoint_1.pt. Name the one",
            (await FlamingoCommand.RunAsync([.. import, _folder.File("checkpoints")])).MustReturn(1).Error, StringComparison.Ordinal);
        File.Delete(Path.Combine(_folder.File("checkpoints"), "checkpoint_1.pt"));
        (await FlamingoCommand.RunAsync([.. import, _folder.File("checkpoints")])).MustReturn(0);
    }

    private Task<Finished> ImportAsync(string output = "model") =>
        FlamingoCommand.RunAsync("import", "--layout", "idefics", "--source", _folder.File("source"), "--output", _folder.File(output));

    private void Change(string file, Action<JsonNode> change)
    {
        if (!Directory.Exists(_folder.File("source"))) RepositoryFiles.Copy(
            RepositoryFiles.Path("tests", "reference", "families", "idefics"), Directory.CreateDirectory(_folder.File("source")).FullName);
        var path = Path.Combine(_folder.File("source"), file);
        var json = JsonNode.Parse(File.ReadAllText(path))!;
        change(json);
        File.WriteAllText(path, json.ToJsonString());
    }
}
