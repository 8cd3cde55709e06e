using Flamingo.Checkpoints;
using Flamingo.Import;
using Flamingo.Import.Sources;
using Flamingo.Testing;
using Flamingo.Training.Results;

namespace Flamingo.Training.Tests.Results;

public sealed class OpenFlamingoExportTests(Models models)
{
    // The original's loader runs Python's own unpickler over the file, with the same three names.
    private const string Unpickle = """
        import collections, pickle, pickletools, sys, zipfile
        class Reader(pickle.Unpickler):
            def find_class(self, module, name):
                if (module, name) == ("collections", "OrderedDict"): return collections.OrderedDict
                if (module, name) == ("torch._utils", "_rebuild_tensor_v2"): return lambda storage, offset, size, *rest: (storage, size)
                if (module, name) == ("torch", "FloatStorage"): return name
                raise ValueError(module + "." + name)
            def persistent_load(self, identity):
                return identity
        with zipfile.ZipFile(sys.argv[1]) as archive:
            assert archive.testzip() is None
            assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
            assert archive.namelist()[0] == "archive/data.pkl" and archive.read("archive/version") == b"3\n"
            data = archive.read("archive/data.pkl")
            assert max(operation.proto for operation, _, _ in pickletools.genops(data)) <= 2
            with archive.open("archive/data.pkl") as stream: state = Reader(stream).load()
            for name, ((kind, storage, key, place, elements), size) in state.items():
                count = 1
                for length in size: count *= length
                assert (kind, storage, place) == ("storage", "FloatStorage", "cpu") and count == elements
                assert archive.getinfo("archive/data/" + key).file_size == 4 * elements
                print(name)
        """;

    public static TheoryData<string> Families => ["mpt1b", "mpt7b", "neox", "pythia", "llama"];

    [Theory]
    [MemberData(nameof(Families))]
    public void Importing_an_export_gives_the_exported_model(string family)
    {
        var (start, folder) = (models.DirectoryOf(family), models.NewFolder());
        using var weights = TrainedModelTests.Moved(start);
        var result = TrainedModel.Write(
            start, weights, Path.Combine(folder, "result"), "a test", TestContext.Current.CancellationToken, "F32");
        var (direct, ofResult) = (Path.Combine(folder, "direct.pt"), Path.Combine(folder, "result.pt"));
        OpenFlamingoExport.Write(start, weights, direct, TestContext.Current.CancellationToken);
        OpenFlamingoExport.Write(result, null, ofResult, TestContext.Current.CancellationToken);
        foreach (var file in new[] { direct, ofResult })
        {
            var imported = Import(family, file, result, Path.Combine(folder, Path.GetFileName(file) + "-model"));
            Assert.Equal(result.Config.Weights, imported.Config.Weights);
        }
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void Names_and_shapes_are_those_of_the_originals_checkpoint(string family)
    {
        var file = Path.Combine(models.NewFolder(), "checkpoint.pt");
        OpenFlamingoExport.Write(models.DirectoryOf(family), null, file, TestContext.Current.CancellationToken);
        using var original = WeightSource.Open(Source(family, "checkpoint.pt"));
        using var exported = WeightSource.Open(file);
        // Rotary frequencies are buffers that OpenFlamingo 2.0.1 computes itself.
        Assert.Equal(Shapes(original).Where(name => !name.Contains("rotary_emb.inv_freq", StringComparison.Ordinal)), Shapes(exported));
        Assert.All(exported.Tensors.Values, tensor => Assert.Equal("F32", tensor.Dtype));
        foreach (var (name, tensor) in exported.Tensors)
            Assert.True(tensor.Read().AsSpan().SequenceEqual(original.Tensors[name].Read()), name);

        static IEnumerable<string> Shapes(WeightSource source) => source.Tensors.Values
            .Select(tensor => $"{tensor.Name} [{string.Join(", ", tensor.Shape)}]").Order(StringComparer.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void A_new_bridge_can_be_exported_and_imported(string family)
    {
        var folder = models.NewFolder();
        var parts = new BridgeParts(Source(family, "vision"), Source(family, "language"), 2)
        {
            Latents = 8, ResamplerDepth = 1, Dtype = "F32",
        };
        var start = BridgeAssembly.Run(parts, Path.Combine(folder, "start"), null, TestContext.Current.CancellationToken);
        var file = Path.Combine(folder, "checkpoint.pt");
        using var weights = TrainedModelTests.Moved(start);
        var result = TrainedModel.Write(start, weights, Path.Combine(folder, "r"), "a test", TestContext.Current.CancellationToken, "F32");
        OpenFlamingoExport.Write(start, weights, file, TestContext.Current.CancellationToken);
        var imported = Import(family, file, result, Path.Combine(folder, "imported"), "F32");
        Assert.Equal(result.Config.Weights, imported.Config.Weights);
    }

    [Theory]
    [InlineData("mpt7b")]
    [InlineData("neox")]
    public async Task Pythons_own_unpickler_reads_an_export(string family)
    {
        var file = Path.Combine(models.NewFolder(), "checkpoint.pt");
        OpenFlamingoExport.Write(models.DirectoryOf(family), null, file, TestContext.Current.CancellationToken);
        using var exported = WeightSource.Open(file);
        ProgramRun run;
        try
        {
            run = await ProgramRun.RunAsync("python3", ["-c", Unpickle, file], TestContext.Current.CancellationToken);
        }
        catch (System.ComponentModel.Win32Exception) when (Environment.GetEnvironmentVariable("CI") != "true")
        {
            Assert.Skip("There is no python3.");
            return;
        }

        Assert.Equal(exported.Tensors.Keys.Order(), run.MustReturn(0).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Order());
    }

    [Fact]
    public void Another_form_of_bridge_is_refused()
    {
        var folder = models.NewFolder();
        var exception = Assert.Throws<CheckpointException>(() => OpenFlamingoExport.Write(
            models.DirectoryOf("idefics"), null, Path.Combine(folder, "checkpoint.pt"), TestContext.Current.CancellationToken));
        Assert.Contains(
            "cannot be exported for OpenFlamingo: its gated blocks are not OpenFlamingo's", exception.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(folder));
    }

    [Fact]
    public void A_failed_export_leaves_nothing_and_an_existing_file_stays()
    {
        var folder = models.NewFolder();
        var file = Path.Combine(folder, "checkpoint.pt");
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() =>
            OpenFlamingoExport.Write(models.DirectoryOf("mpt7b"), null, file, cancelled.Token));
        Assert.Empty(Directory.GetFileSystemEntries(folder));
        File.WriteAllText(file, "mine");
        Assert.Contains("exists already", Assert.Throws<CheckpointException>(() =>
            OpenFlamingoExport.Write(models.DirectoryOf("mpt7b"), null, file, TestContext.Current.CancellationToken)).Message,
            StringComparison.Ordinal);
        Assert.Equal("mine", File.ReadAllText(file));
    }

    private static string Source(string family, string part) => RepositoryFiles.Path("tests", "reference", "families", family, part);

    private static ModelDirectory Import(string family, string checkpoint, ModelDirectory model, string output,
        string? dtype = null) =>
        OpenFlamingoImport.Run(
            new OpenFlamingoSource(
                Source(family, "vision"), Source(family, "language"), checkpoint, model.Config.Language.CrossAttention.Layers[0] + 1)
                {
                    Dtype = dtype,
                }, output, null, TestContext.Current.CancellationToken);
}
