using System.Diagnostics;
using System.Text.Json;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Gpu;

/// <summary>
/// bench/gpu-check.sh from packing to verdict, on the CPU: a build without a libtorch of its own loads that of a PyTorch installation and
/// answers every golden. On a GPU the same archive is run by hand; README says where it was.
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
        Assert.Equal(6 * 6 + 1, lines.Count(line => line.TryGetProperty("passed", out var passed) && passed.ValueKind == JsonValueKind.True));
        Assert.Equal("passed", lines[^1].GetProperty("verdict").GetString());
        foreach (var check in new[] { "mpt1b_logits", "idefics_latents", "llama_greedy_answers_that_differ", "shapes_answers_that_differ, all stages on cpu" })
            Assert.Contains(lines, line => line.TryGetProperty("check", out var name) && name.GetString() == check);

        // a golden that does not hold is a verdict and an exit code
        var golden = Path.Combine(_folder, "gpu-check", "data", "families", "mpt1b", "golden.json");
        var text = await File.ReadAllTextAsync(golden, TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(golden, text.Replace("320", "321", StringComparison.Ordinal), TestContext.Current.CancellationToken);
        var broken = (await RunAsync(1, script, [.. onTheCpu, "--parts", "goldens"])).Output;
        Assert.Equal("failed", broken[^1].GetProperty("verdict").GetString());

        // what is not there is said in one line
        Assert.Contains("NVIDIA driver", (await RunAsync(1, script, "--torch", Path.Combine(_folder, "site-packages"))).Error, StringComparison.Ordinal);
        Assert.Contains("libtorch_cpu.so", (await RunAsync(1, script, "--torch", _folder + "/nowhere", "--device", "cpu")).Error, StringComparison.Ordinal);
        Assert.Contains("--pack", (await RunAsync(2, RepositoryFiles.Path("bench", "gpu-check.sh"))).Error, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static async Task<(IReadOnlyList<JsonElement> Output, string Error)> RunAsync(int expected, string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1"; // no build server outlives the test
        using var process = Process.Start(start)!;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(CancellationToken.None), process.StandardError.ReadToEndAsync(CancellationToken.None));
        try
        {
            await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }

        Assert.True(process.ExitCode == expected, $"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}.\n{await output}\n{await error}");
        return ([.. (await output).Split('\n').Where(line => line.StartsWith('{')).Select(line => JsonDocument.Parse(line).RootElement)], await error);
    }
}
