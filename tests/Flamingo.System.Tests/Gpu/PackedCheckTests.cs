using System.Text.Json;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Gpu;

/// <summary>
/// Runs bench/gpu-check.sh from packing to verdict on the CPU: a build without its own libtorch loads the libtorch of a PyTorch
/// installation and matches all golden values. On a GPU the same archive is run by hand; README lists these runs.
/// </summary>
public sealed class PackedCheckTests : IDisposable
{
    private const long MostBytes = 60 << 20;
    private readonly string _folder = Directory.CreateTempSubdirectory("flamingo-packed-").FullName;

    [Fact(Timeout = 900_000)]
    public async Task An_archive_of_60_MiB_answers_every_golden_over_the_libtorch_of_a_PyTorch_installation()
    {
        var archive = Path.Combine(_folder, "check.tar.xz");
        await RunAsync(0, RepositoryFiles.Path("bench", "gpu-check.sh"), "--pack", archive);
        Assert.InRange(new FileInfo(archive).Length, 1 << 20, MostBytes);
        await RunAsync(0, "tar", "-x", "-J", "-f", archive, "-C", _folder);
        var script = Path.Combine(_folder, "gpu-check", "gpu-check.sh");
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(_folder, "gpu-check"), "libtorch*", SearchOption.AllDirectories));
        PyTorchFolder.Make(Path.Combine(_folder, "site-packages"), copy: false);

        string[] onTheCpu = ["--torch", Path.Combine(_folder, "site-packages"), "--device", "cpu"];
        var lines = (await RunAsync(0, script, [.. onTheCpu, "--parts", "goldens", "answers"])).Output;
        Assert.Equal(
            6 * 6 + 1,
            lines.Count(line => line.TryGetProperty("passed", out var passed) && passed.ValueKind == JsonValueKind.True));
        Assert.Equal("passed", lines[^1].GetProperty("verdict").GetString());
        string[] checks =
            ["mpt1b_logits", "idefics_latents", "llama_greedy_answers_that_differ", "shapes_answers_that_differ, all stages on cpu"];
        foreach (var check in checks)
            Assert.Contains(lines, line => line.TryGetProperty("check", out var name) && name.GetString() == check);

        // A wrong golden value makes the verdict 'failed' and the exit code 1.
        var golden = Path.Combine(_folder, "gpu-check", "data", "families", "mpt1b", "golden.json");
        var text = await File.ReadAllTextAsync(golden, TestContext.Current.CancellationToken);
        var changed = text.Replace("320", "321", StringComparison.Ordinal);
        await File.WriteAllTextAsync(golden, changed, TestContext.Current.CancellationToken);
        var broken = (await RunAsync(1, script, [.. onTheCpu, "--parts", "goldens"])).Output;
        Assert.Equal("failed", broken[^1].GetProperty("verdict").GetString());

        // the message names the driver, the library or the argument that is missing
        var noDriver = await RunAsync(1, script, "--torch", Path.Combine(_folder, "site-packages"));
        Assert.Contains("NVIDIA driver", noDriver.Error, StringComparison.Ordinal);
        var noLibrary = await RunAsync(1, script, "--torch", _folder + "/nowhere", "--device", "cpu");
        Assert.Contains("libtorch_cpu.so", noLibrary.Error, StringComparison.Ordinal);
        Assert.Contains("--pack", (await RunAsync(2, RepositoryFiles.Path("bench", "gpu-check.sh"))).Error, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static async Task<(IReadOnlyList<JsonElement> Output, string Error)> RunAsync(
        int expected, string program, params string[] arguments)
    {
        var run = (await ProgramRun.RunAsync(program, arguments, TestContext.Current.CancellationToken)).MustReturn(expected);
        var lines = run.Output.Split('\n').Where(line => line.StartsWith('{'));
        return ([.. lines.Select(line => JsonDocument.Parse(line).RootElement)], run.Error);
    }
}
