using System.Buffers.Binary;
using System.Text.Json.Nodes;
using Flamingo.Checkpoints;
using Flamingo.Cli.Tests.Running;
using Flamingo.Import;
using Flamingo.Import.Sources;
using Flamingo.Testing;

namespace Flamingo.Cli.Tests.Verifying;

/// <summary>Imports a family once for all tests of the class.</summary>
public sealed class ImportedFamily : IAsyncLifetime
{
    private readonly TemporaryFolder _folder = new();

    public string Model => _folder.File("mpt1b");

    public Finished? Import { get; private set; }

    public static string Family(params string[] parts) => RepositoryFiles.Path(["tests", "reference", "families", "mpt1b", .. parts]);

    public async ValueTask InitializeAsync() => Import = await FlamingoCommand.RunAsync(
        "import", "--layout", "openflamingo", "--vision", Family("vision"), "--language", Family("language"), "--checkpoint",
        Family("checkpoint.pt"), "--cross-attention-every", "1", "--output", Model);

    public ValueTask DisposeAsync()
    {
        _folder.Dispose();
        return ValueTask.CompletedTask;
    }
}

public sealed class VerifyTests(ImportedFamily family) : IClassFixture<ImportedFamily>
{
    private static readonly string Pictures = RepositoryFiles.Path("tests", "reference", "pictures");

    [Fact]
    public async Task An_import_holds_its_goldens()
    {
        family.Import!.MustReturn(0);
        Assert.Contains("100 %", family.Import.Error, StringComparison.Ordinal);
        var finished = (await VerifyAsync(ImportedFamily.Family())).MustReturn(0);
        foreach (var name in new[] { "pixels", "features", "latents", "logits.three-shot", "three-shot: ids", "three-shot: greedy",
            "three-shot: rank order", "three-shot: beam3_length_penalty_0", "vqa: beam3_length_penalty_1" })
            Assert.Contains($"held     {name}:", finished.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("skipped  three-shot: beam", finished.Output, StringComparison.Ordinal);
        Assert.Contains(" 0 broken", finished.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("mpt7b", 2, 71)]
    [InlineData("neox", 2, 71)]
    [InlineData("pythia", 4, 71)]
    [InlineData("llama", 2, 71)]
    [InlineData("idefics", 0, 53)]
    public async Task Every_family_holds_its_goldens(string name, int every, int held)
    {
        using var folder = new TemporaryFolder();
        var source = RepositoryFiles.Path("tests", "reference", "families", name);
        string Part(string part) => Path.Combine(source, part);
        string[] layout = name == "idefics"
            ? ["--layout", "idefics", "--source", source]
            : ["--layout", "openflamingo", "--vision", Part("vision"), "--language", Part("language"), "--checkpoint",
                Part("checkpoint.pt"), "--cross-attention-every", $"{every}"];
        string[] import = ["import", .. layout, "--output", folder.File(name)];
        Assert.Contains($"Imported {name}", (await FlamingoCommand.RunAsync(import)).MustReturn(0).Error, StringComparison.Ordinal);
        Assert.Contains("from the same files. Nothing was changed", (await FlamingoCommand.RunAsync(import)).MustReturn(0).Error,
            StringComparison.Ordinal);
        var verified = await FlamingoCommand.RunAsync("verify", folder.File(name), "--golden", source, "--pictures", Pictures);
        Assert.Contains($"{held} held, 0 broken, 0 skipped", verified.MustReturn(0).Output, StringComparison.Ordinal);
        if (name == "idefics") Assert.Contains("held     golden_after_end.json: text-after-end: greedy:", verified.Output,
            StringComparison.Ordinal);
        (await FlamingoCommand.RunAsync("inspect", folder.File(name), "--verify")).MustReturn(0);
    }

    [Theory]
    [InlineData("--source is required for --layout idefics", "--layout", "idefics")]
    [InlineData("--checkpoint is required for --layout openflamingo", "--layout", "openflamingo", "--cross-attention-every", "1")]
    [InlineData("--cross-attention-every is not for --layout idefics", "--layout", "idefics", "--source", ".", "--cross-attention-every",
        "1")]
    public async Task A_layout_says_what_it_needs(string said, params string[] arguments)
    {
        var refused = await FlamingoCommand.RunAsync(["import", .. arguments, "--output", "/tmp/never"]);
        Assert.Equal(2, refused.ExitCode);
        Assert.Contains(said, refused.Error, StringComparison.Ordinal);
    }

    /// <summary>The original code ignores the EXIF orientation, and so do its golden values.</summary>
    [Fact]
    public async Task A_golden_of_a_rotated_file_holds_where_orientation_is_ignored()
    {
        using var folder = new TemporaryFolder();
        RepositoryFiles.Copy(Pictures, folder.Path);
        var jpeg = await File.ReadAllBytesAsync(folder.File("picture-1.jpg"), TestContext.Current.CancellationToken);
        byte[] exif = [0xFF, 0xE1, 0, 34, .. "Exif\0\0MM"u8, 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0];
        byte[] rotated = [.. jpeg[..2], .. exif, .. jpeg[2..]];
        await File.WriteAllBytesAsync(folder.File("picture-1.jpg"), rotated, TestContext.Current.CancellationToken);

        string[] verify = ["verify", family.Model, "--golden", ImportedFamily.Family(), "--pictures", folder.Path];
        async Task<Finished> Verify(params string[] more) => await FlamingoCommand.RunAsync([.. verify, .. more]);
        var turned = (await Verify()).MustReturn(3);
        Assert.Contains("picture-1.jpg was rotated by its EXIF orientation", turned.Output, StringComparison.Ordinal);
        Assert.Contains("--orientation ignore", turned.Output, StringComparison.Ordinal);
        Assert.Contains(" 1 broken", turned.Output, StringComparison.Ordinal);
        Assert.Contains(" 0 broken", (await Verify("--orientation", "ignore")).MustReturn(0).Output, StringComparison.Ordinal);
        (await Verify("--orientation", "exif")).MustReturn(3);
        Assert.Contains("sideways", (await Verify("--orientation", "sideways")).MustReturn(2).Error, StringComparison.Ordinal);
    }

    /// <summary>
    /// Transparency is handled as in the training of the family, unless the import changes it. Repeating the same import changes nothing;
    /// another import into the same folder fails.
    /// </summary>
    [Theory]
    [InlineData("openflamingo", "drop", "black")]
    [InlineData("idefics", "white", "black")]
    public async Task Transparency_is_chosen_at_import(string layout, string own, string chosen)
    {
        using var folder = new TemporaryFolder();
        string Part(string part) => ImportedFamily.Family(part);
        string[] source = layout == "idefics"
            ? ["--source", RepositoryFiles.Path("tests", "reference", "families", "idefics")]
            : ["--vision", Part("vision"), "--language", Part("language"),
                "--checkpoint", Part("checkpoint.pt"), "--cross-attention-every", "1"];
        string[] import = ["import", "--layout", layout, .. source];
        (await FlamingoCommand.RunAsync([.. import, "--output", folder.File("own")])).MustReturn(0);
        await InspectTells($"alpha {own}, orientation exif", folder.File("own"));
        string[] other = [.. import, "--alpha", chosen, "--output", folder.File("chosen")];
        (await FlamingoCommand.RunAsync(other)).MustReturn(0);
        await InspectTells($"alpha {chosen}, orientation exif", folder.File("chosen"));
        Assert.Contains("from the same files. Nothing was changed", (await FlamingoCommand.RunAsync(other)).MustReturn(0).Error,
            StringComparison.Ordinal);
        var refused = (await FlamingoCommand.RunAsync([.. import, "--output", folder.File("chosen")])).MustReturn(1);
        Assert.Contains("exists already", refused.Error, StringComparison.Ordinal);

        static async Task InspectTells(string said, string model) =>
            Assert.Contains(said, (await FlamingoCommand.RunAsync("inspect", model)).MustReturn(0).Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("features")]
    [InlineData("latents")]
    [InlineData("logits.three-shot")]
    [InlineData("logits.no-picture")]
    public async Task A_tensor_that_differs_in_one_element_breaks(string tensor)
    {
        using var folder = new TemporaryFolder();
        CopyGolden(folder);
        using (var file = SafetensorsFile.Open(ImportedFamily.Family("golden.safetensors")))
        {
            var bytes = await File.ReadAllBytesAsync(file.Path, TestContext.Current.CancellationToken);
            var value = bytes.AsSpan((int)file.Entries[tensor].Offset + 40);
            BinaryPrimitives.WriteSingleLittleEndian(value, BinaryPrimitives.ReadSingleLittleEndian(value) + 0.01f);
            await File.WriteAllBytesAsync(folder.File("golden.safetensors"), bytes, TestContext.Current.CancellationToken);
        }

        var finished = (await VerifyAsync(folder.Path)).MustReturn(3);
        Assert.Contains($"broken   {tensor}: largest error", finished.Output, StringComparison.Ordinal);
        Assert.Contains("at element 10 of", finished.Output, StringComparison.Ordinal);
        Assert.Contains(" 1 broken", finished.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ids_and_ranks_that_differ_break_and_are_named()
    {
        using var folder = new TemporaryFolder();
        CopyGolden(folder);
        var golden = JsonNode.Parse(await File.ReadAllTextAsync(folder.File("golden.json"), TestContext.Current.CancellationToken))!;
        var prompt = golden["prompts"]!.AsArray().Single(item => (string)item!["name"]! == "vqa")!;
        prompt["greedy"]!["ids"]![2] = 7;
        prompt["rank"]![0]!["token_log_likelihoods"]![1] = -1.5;
        prompt["beam3_length_penalty_0"]!["score"] = 0.25;
        prompt["beam3_length_penalty_1"]!["ids"]![0] = 7;
        folder.Write("golden.json", golden.ToJsonString());
        var finished = (await VerifyAsync(folder.Path)).MustReturn(3);
        Assert.Contains("broken   vqa: greedy: first difference at 2: ", finished.Output, StringComparison.Ordinal);
        Assert.Contains("where the golden has 7", finished.Output, StringComparison.Ordinal);
        Assert.Contains("broken   vqa: rank '", finished.Output, StringComparison.Ordinal);
        Assert.Contains("broken   vqa: beam3_length_penalty_0: ", finished.Output, StringComparison.Ordinal);
        Assert.Contains("identical, difference of the score", finished.Output, StringComparison.Ordinal);
        Assert.Contains("broken   vqa: beam3_length_penalty_1: first difference at 0: ", finished.Output, StringComparison.Ordinal);
    }

    /// <summary>A golden file without pictures uses those of golden.json, and its tensors may be only logits.</summary>
    [Fact]
    public async Task Every_golden_of_that_form_is_checked_and_the_others_are_named()
    {
        using var folder = new TemporaryFolder();
        CopyGolden(folder);
        var golden = JsonNode.Parse(await File.ReadAllTextAsync(folder.File("golden.json"), TestContext.Current.CancellationToken))!;
        var prompt = golden["prompts"]!.AsArray().Single(item => (string)item!["name"]! == "vqa")!.DeepClone();
        prompt["greedy"]!["ids"]![1] = 7;
        folder.Write("golden_more.json", new JsonObject { ["prompts"] = new JsonArray(prompt) }.ToJsonString());
        using (var tensors = SafetensorsFile.Open(ImportedFamily.Family("golden.safetensors")))
        {
            var logits = tensors.Entries["logits.vqa"];
            SafetensorsWriter.Write(folder.File("golden_more.safetensors"), new Dictionary<string,
                SourceTensor> { ["logits.vqa"] = new("logits.vqa", logits.Dtype, logits.Shape, () => tensors.Read(logits).ToArray()) },
                null, (_, _) => { }, [], CancellationToken.None);
        }

        folder.Write("golden_list.json", "[{\"episode\": 1}]");
        folder.Write("golden_scores.json", """{"prompts": [{"name": "a", "score": 1}]}""");
        var finished = (await VerifyAsync(folder.Path)).MustReturn(3);
        foreach (var line in new[] { "held     logits.vqa:", "held     golden_more.json: logits.vqa:",
            "held     golden_more.json: vqa: ids:", "broken   golden_more.json: vqa: greedy: first difference at 1",
            "skipped  golden_list.json:", "skipped  golden_scores.json:" })
            Assert.Contains(line, finished.Output, StringComparison.Ordinal);
        Assert.Contains(" 1 broken, 2 skipped", finished.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_rounded_import_says_that_rounding_may_be_why_and_how_to_serve_it()
    {
        using var folder = new TemporaryFolder();
        string[] import =
            ["import", "--layout", "openflamingo", "--vision", ImportedFamily.Family("vision"),
                "--language", ImportedFamily.Family("language"),
                "--checkpoint", ImportedFamily.Family("checkpoint.pt"), "--cross-attention-every", "1"];
        var model = folder.File("rounded to 16 bits");
        var imported = (await FlamingoCommand.RunAsync([.. import, "--dtype", "bf16", "--output", model])).MustReturn(0);
        Assert.EndsWith($"flamingo serve --model '{Path.GetRelativePath(Environment.CurrentDirectory, model)}'",
            imported.Error.TrimEnd(), StringComparison.Ordinal);
        var rounded = (await FlamingoCommand.RunAsync(
            "verify", model, "--golden", ImportedFamily.Family(), "--pictures", Pictures)).MustReturn(3);
        Assert.Contains("vision.safetensors, resampler.safetensors, language.safetensors hold 16-bit weights",
            rounded.Error, StringComparison.Ordinal);

        // The same golden values with full-precision weights: a failure there has another cause.
        using var wrong = new TemporaryFolder();
        CopyGolden(wrong);
        var golden = JsonNode.Parse(await File.ReadAllTextAsync(wrong.File("golden.json"), TestContext.Current.CancellationToken))!;
        golden["prompts"]![0]!["ids"]![0] = 7;
        wrong.Write("golden.json", golden.ToJsonString());
        Assert.DoesNotContain("16-bit", (await VerifyAsync(wrong.Path)).MustReturn(3).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_golden_may_begin_with_a_byte_order_mark_and_a_malformed_one_is_told_by_its_line()
    {
        using var folder = new TemporaryFolder();
        CopyGolden(folder);
        var text = await File.ReadAllTextAsync(folder.File("golden.json"), TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(folder.File("golden.json"), text,
            new System.Text.UTF8Encoding(true), TestContext.Current.CancellationToken);
        (await VerifyAsync(folder.Path)).MustReturn(0);
        folder.Write("golden.json", "{\"pictures\": [],\n \"prompts\": [{\"name\": \"a\", \"segments\": [], \"ids\": [\"one\"]}]}");
        var refused = (await VerifyAsync(folder.Path)).MustReturn(2);
        Assert.Matches(@"golden\.json .*: line 2, column 5\d: prompts\[0\]\.ids\[0\] has a value of the wrong kind", refused.Error);
        Assert.DoesNotContain("System.", refused.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_files_of_a_publication_may_begin_with_byte_order_marks_and_a_malformed_one_is_told_by_its_line()
    {
        using var folder = new TemporaryFolder();
        foreach (var part in new[] { "vision", "language" })
            RepositoryFiles.Copy(ImportedFamily.Family(part), Directory.CreateDirectory(folder.File(part)).FullName);
        File.Copy(ImportedFamily.Family("checkpoint.pt"), folder.File("checkpoint.pt"));
        var files = Directory.GetFiles(folder.Path, "*.json", SearchOption.AllDirectories);
        foreach (var file in files)
            await File.WriteAllTextAsync(file, await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken),
                new System.Text.UTF8Encoding(true), TestContext.Current.CancellationToken);
        Assert.Contains(files, file => file.EndsWith("tokenizer.json", StringComparison.Ordinal));
        string[] import =
            ["import", "--layout", "openflamingo", "--vision", folder.File("vision"),
                "--language", folder.File("language"), "--checkpoint", folder.File("checkpoint.pt"),
                "--cross-attention-every", "1", "--output", folder.File("model")];
        (await FlamingoCommand.RunAsync(import)).MustReturn(0);
        (await FlamingoCommand.RunAsync(
            "verify", folder.File("model"), "--golden", ImportedFamily.Family(), "--pictures", Pictures)).MustReturn(0);

        await File.WriteAllTextAsync(folder.File("language/config.json"), "{\"model_type\": \"mpt\",\n}",
            TestContext.Current.CancellationToken);
        Assert.Contains("config.json is damaged: line 2, column 1: a comma stands before the closing bracket",
            (await FlamingoCommand.RunAsync([.. import[..^1], folder.File("other")])).MustReturn(1).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_to_compare_is_a_failure()
    {
        using var folder = new TemporaryFolder();
        folder.Write("golden.json", """{"pictures": [], "prompts": []}""");
        await File.WriteAllBytesAsync(folder.File("golden.safetensors"), [2, 0, 0, 0, 0, 0, 0, 0, (byte)'{', (byte)'}'],
            TestContext.Current.CancellationToken);
        var finished = (await VerifyAsync(folder.Path)).MustReturn(1);
        Assert.Contains("Nothing was compared", finished.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_without_goldens_is_wrong_usage()
    {
        using var folder = new TemporaryFolder();
        var finished = (await VerifyAsync(folder.Path)).MustReturn(2);
        Assert.Contains("golden.json", finished.Error, StringComparison.Ordinal);
        Assert.Contains("golden.safetensors", finished.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Inspect_tells_what_a_directory_holds_and_finds_a_flipped_bit()
    {
        var told = (await FlamingoCommand.RunAsync("inspect", family.Model, "--verify")).MustReturn(0);
        foreach (var part in new[] { "parameters", "<image> = 533", "checkpoint.pt", "shortest_side_crop", "digests hold" })
            Assert.Contains(part, told.Output, StringComparison.Ordinal);

        using var folder = new TemporaryFolder();
        RepositoryFiles.Copy(family.Model, folder.Path);
        var weights = await File.ReadAllBytesAsync(folder.File("resampler.safetensors"), TestContext.Current.CancellationToken);
        weights[^3] ^= 1;
        await File.WriteAllBytesAsync(folder.File("resampler.safetensors"), weights, TestContext.Current.CancellationToken);
        (await FlamingoCommand.RunAsync("inspect", folder.Path)).MustReturn(0);
        var damaged = (await FlamingoCommand.RunAsync("inspect", folder.Path, "--verify")).MustReturn(1);
        Assert.Contains("resampler.safetensors", damaged.Error, StringComparison.Ordinal);
    }

    private Task<Finished> VerifyAsync(
        string golden) => FlamingoCommand.RunAsync("verify", family.Model, "--golden", golden, "--pictures", Pictures);

    private static void CopyGolden(TemporaryFolder folder)
    {
        foreach (var name in new[] { "golden.json", "golden.safetensors" }) File.Copy(ImportedFamily.Family(name), folder.File(name));
    }
}
