using System.Security.Cryptography;
using Flamingo.Checkpoints;
using Flamingo.Testing;
using static Flamingo.Import.Tests.OpenFlamingo.OpenFlamingoImportTests;

namespace Flamingo.Import.Tests.OpenFlamingo;

/// <summary>Tests the files that an import leaves on the disk and the progress that it reports.</summary>
public sealed class ImportOutputTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void An_output_that_exists_is_refused_untouched()
    {
        Directory.CreateDirectory(_folder["model"]);
        File.WriteAllText(Path.Combine(_folder["model"], "mine.txt"), "mine");
        var exception = Assert.Throws<CheckpointException>(() => Run(Family("mpt1b", 1)));
        Assert.Contains("exists already. Name another --output", exception.Message, StringComparison.Ordinal);
        Assert.Equal("mine", File.ReadAllText(Path.Combine(_folder["model"], "mine.txt")));
    }

    [Fact]
    public void An_interrupted_import_leaves_nothing()
    {
        using var cancel = new CancellationTokenSource();
        var progress = new Listener(report => { if (report.Done > report.Total / 2) cancel.Cancel(); });
        Assert.ThrowsAny<OperationCanceledException>(
            () => OpenFlamingoImport.Run(Family("mpt1b", 1), _folder["model"], progress, cancel.Token));
        Assert.Empty(Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void The_same_import_again_is_recognised_and_any_other_is_not()
    {
        var source = Family("mpt7b", 2);
        var made = Run(source);
        var written = File.GetLastWriteTimeUtc(Path.Combine(made.Path, "language.safetensors"));
        Assert.Equal(made.Config.Weights["language"], Run(source).Config.Weights["language"]);
        Assert.Equal(written, File.GetLastWriteTimeUtc(Path.Combine(made.Path, "language.safetensors")));
        foreach (var other in new[] { source with { Dtype = "BF16" }, source with { CrossAttentionEvery = 4 },
            source with { ModelId = "another" }, Family("mpt1b", 1) })
            Assert.Contains("exists already", Assert.Throws<CheckpointException>(() => Run(other)).Message, StringComparison.Ordinal);

        var language = Directory.CreateDirectory(_folder["language"]).FullName;
        RepositoryFiles.Copy(source.Language, language);
        Run(source with { Language = language });
        File.AppendAllText(Path.Combine(language, "tokenizer_config.json"), " "); // This file decides whether <PAD> is added.
        Assert.Contains("exists already", Assert.Throws<CheckpointException>(() => Run(source with { Language = language })).Message,
            StringComparison.Ordinal);

        using (var weights = File.OpenWrite(Path.Combine(made.Path, "language.safetensors"))) weights.SetLength(weights.Length - 1);
        Assert.Contains("exists already", Assert.Throws<CheckpointException>(() => Run(source)).Message, StringComparison.Ordinal);
    }

    /// <summary>
    /// A running service has its model's weights mapped into memory. A byte that is written into them would change the running model,
    /// and a file that is cut would end the service.
    /// </summary>
    [Fact]
    public void Nothing_is_ever_written_into_a_model_that_stands()
    {
        var source = Family("mpt7b", 2);
        var made = Run(source);
        using var mapped = made.OpenWeights("language");
        var before = Standing();
        foreach (var other in new[] { source, source with { Dtype = "BF16" }, source with { CrossAttentionEvery = 4 },
            source with { ModelId = "another" }, Family("mpt1b", 1) })
        {
            if (other == source) Run(other);
            else Assert.Contains("exists already", Assert.Throws<CheckpointException>(() => Run(other)).Message, StringComparison.Ordinal);
            Assert.Equal(before, Standing());
        }

        Assert.Equal(made.Config.Weights["language"].Digest, WeightsDigest.Compute(mapped, _ => true));

        // The times are compared too: a file that is rewritten with the same bytes is incomplete for a moment.
        List<(string File, DateTime Written, string Bytes)> Standing() =>
            [.. Directory.GetFiles(_folder.Path, "*", SearchOption.AllDirectories).Order()
                .Select(file => (file, File.GetLastWriteTimeUtc(file), Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(file)))))];
    }

    [Fact]
    public void A_model_that_another_import_put_there_meanwhile_is_left_alone()
    {
        var progress = new Listener(_ =>
            File.WriteAllText(Path.Combine(Directory.CreateDirectory(_folder["model"]).FullName, "theirs.txt"), "theirs"));
        var refused = Assert.Throws<CheckpointException>(
            () => OpenFlamingoImport.Run(Family("mpt7b", 2), _folder["model"], progress, CancellationToken.None));
        Assert.Contains("exists already", refused.Message, StringComparison.Ordinal);
        Assert.Equal([Path.Combine(_folder["model"], "theirs.txt")], Directory.GetFiles(_folder.Path, "*", SearchOption.AllDirectories));
    }

    [Fact]
    public void What_a_killed_import_left_is_removed_by_the_next()
    {
        Directory.CreateDirectory(Path.Combine(_folder[$"model.importing-{int.MaxValue}"], "half"));
        Directory.CreateDirectory(_folder["model.importing-of-mine"]);
        Run(Family("mpt7b", 2));
        Assert.Equal([_folder["model"], _folder["model.importing-of-mine"]], Directory.GetFileSystemEntries(_folder.Path).Order());
    }

    [Fact]
    public void The_time_left_is_estimated_from_the_bytes_so_far()
    {
        var time = new SteppingTime();
        var reports = new List<ImportProgress>();
        OpenFlamingoImport.Run(Family("mpt7b", 2), _folder["model"], new Listener(reports.Add), CancellationToken.None, time);
        var late = reports.First(report => report.Done > report.Total / 2);
        Assert.Equal(late.Left!.Value.TotalSeconds, (reports.IndexOf(late) + 1) * ((double)(late.Total - late.Done) / late.Done), 0.01);
        Assert.Contains(" left", late.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Progress_rises_to_the_total()
    {
        var reports = new List<ImportProgress>();
        OpenFlamingoImport.Run(Family("mpt7b", 2), _folder["model"], new Listener(reports.Add), CancellationToken.None);
        Assert.Equal(reports.Select(report => report.Done).Order(), reports.Select(report => report.Done));
        Assert.Equal(reports[^1].Total, reports[^1].Done);
    }

    private ModelDirectory Run(OpenFlamingoSource source, string output = "model") =>
        OpenFlamingoImport.Run(source, _folder[output], null, CancellationToken.None);

    private sealed class SteppingTime : TimeProvider
    {
        private long _seconds;

        public override long TimestampFrequency => 1;

        public override long GetTimestamp() => _seconds++;
    }

    private sealed class Listener(Action<ImportProgress> hear) : IProgress<ImportProgress>
    {
        public void Report(ImportProgress value) => hear(value);
    }
}
