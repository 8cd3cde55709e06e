using Flamingo.Bench;
using Flamingo.Bench.Stacks;
using Flamingo.Checkpoints;
using Flamingo.Fixtures.Reference;
using Flamingo.Modeling.Devices;
using Flamingo.Modeling.Memory;
using Flamingo.Modeling.Natives;
using Flamingo.Modeling.Runtime;
using TorchSharp;

namespace Flamingo.GpuCheck;

/// <summary>The parameters of a check.</summary>
/// <param name="Torch">Path of a PyTorch installation; empty for the build's own libtorch.</param>
/// <param name="Device">The torch device that is compared and measured.</param>
/// <param name="Data">See <see cref="CheckData"/>.</param>
/// <param name="Limit">Parts that have not begun after this time are left out.</param>
/// <param name="Geometry">openflamingo-3b or none; null for the device's default.</param>
public sealed record CheckRequest(string Torch, string Device, string Data, TimeSpan Limit, string? Geometry)
{
    public static readonly IReadOnlyList<string> AllParts = ["goldens", "answers", "flips", "speed"];

    /// <summary>The parts to run, out of <see cref="AllParts"/>.</summary>
    public IReadOnlyList<string> Parts { get; init; } = AllParts;
}

/// <summary>Runs the parts of a check in order: the machine, goldens, answers, flips, speed.</summary>
public static class Check
{
    public static async Task<int> RunAsync(CheckRequest request, TextWriter output, CancellationToken cancellation)
    {
        var (time, cuda) = (TimeProvider.System, request.Device != "cpu");
        var report = new Report(output, time, request.Limit);
        var settings = new Dictionary<string, string?> { ["Model:Device"] = request.Device };
        try
        {
            if (request.Torch.Length > 0)
            {
                var installation = TorchLibraries.Find(request.Torch);
                report.Fact("pytorch", $"{installation.Version} in {installation.Folder}");
                // The check shows whether services may use this version of PyTorch, so it accepts every version itself.
                (settings["Model:TorchLibraries"], settings["Model:TorchVersion"]) = (request.Torch, installation.MajorMinor);
            }

            TorchLibraries.Load(new ModelOptions
            {
                TorchLibraries = request.Torch,
                TorchVersion = settings.GetValueOrDefault("Model:TorchVersion") ?? "",
            });
            report.Fact("device", Describe(request.Device, request.Torch));
            ModelRuntime.Device(new ModelOptions { Device = request.Device });
        }
        catch (CheckpointException exception)
        {
            await Console.Error.WriteLineAsync($"gpu-check: {exception.Message}");
            return 1;
        }

        report.Fact("processors", $"{Environment.ProcessorCount}");
        foreach (var family in request.Parts.Contains("goldens") ? FamilyGolden.Families : [])
        {
            var folder = Path.Combine(request.Data, "families", family);
            await report.PartAsync(
                $"goldens of {family}", () => FamilyCheck.RunAsync(folder, family, settings, report, cancellation), cancellation);
        }

        var evaluation = new ShapesEvaluation(Path.Combine(request.Data, "evaluation"));
        var shapes = ModelDirectory.Open(Path.Combine(request.Data, "shapes"));
        Task<EmbeddedStack> LoadAsync(params (string Key, string Value)[] more) =>
            EmbeddedStack.LoadAsync(
                shapes,
                new BenchRequest([], null, shapes.Path, Environment.ProcessorCount, 1, 3) { Settings = With(settings, more) },
                time, cancellation);
        if (request.Parts.Contains("answers"))
        {
            await report.PartAsync("answers of shapes", () => AnswerCheck.RunAsync(
                $"all stages on {request.Device}", () => LoadAsync(), evaluation, every: 1, report, cancellation), cancellation);
        }

        if (cuda && request.Parts.Contains("answers"))
        {
            foreach (var stage in new[] { "VisionEncoder", "Resampler", "LanguageModel" })
            {
                await report.PartAsync($"answers with the {stage} alone on {request.Device}", () => AnswerCheck.RunAsync(
                    $"{stage} on {request.Device}, the others on the cpu",
                    () => LoadAsync(("Model:Device", "cpu"), ($"{stage}:Device", request.Device)),
                    evaluation, every: 8, report, cancellation), cancellation);
            }
        }

        if (request.Parts.Contains("flips"))
            await report.PartAsync("flips", () => FlipCheck.RunAsync(LoadAsync, evaluation, report, cancellation), cancellation);
        var geometry = request.Geometry ?? (cuda ? "openflamingo-3b" : "none");
        if (request.Parts.Contains("speed"))
        {
            await report.PartAsync("speed", () => SpeedCheck.RunAsync(
                request.Device, geometry == "none" ? null : geometry, shapes, settings, report, time, cancellation), cancellation);
        }

        return report.Verdict();
    }

    public static Dictionary<string, string?> With(
        IReadOnlyDictionary<string, string?> settings, params IEnumerable<(string Key, string Value)> more)
    {
        var all = new Dictionary<string, string?>(settings, StringComparer.OrdinalIgnoreCase);
        foreach (var (key, value) in more) all[key] = value;
        return all;
    }

    private static string Describe(string device, string installation)
    {
        if (device == "cpu") return installation.Length > 0 ? "cpu" : $"cpu, libtorch {torch.__version__}";
        var memory = DeviceMemory.Of(device);
        return $"{device}: {memory.Name}, {MemoryReport.Size(memory.Free)} free of {MemoryReport.Size(memory.Total)}";
    }
}
