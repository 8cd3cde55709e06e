using System.Runtime.InteropServices;
using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Modeling.Devices;
using Flamingo.Modeling.Memory;
using Flamingo.Modeling.Weights;
using Flamingo.Stages;
using Flamingo.Testing;
using TorchSharp;

namespace Flamingo.Modeling.Tests.Memory;

public sealed class MemoryReportTests
{
    private static readonly MemoryReport Two = new(
    [
        new("one", [new("weights", 3L << 30, "set Model:WeightStorage to int8"), new("keys", 512L << 20, null)]),
        new("two", [new("cache", 512L << 20, "lower Two:CacheBytes")]),
    ]);

    [Fact]
    public void Parts_that_fit_alone_are_refused_together_with_every_figure_and_remedy()
    {
        Two.Check(new AvailableMemory(4L << 30), NoDevice);
        var refused = Assert.Throws<CheckpointException>(() => Two.Check(new AvailableMemory((4L << 30) - 1), NoDevice));
        foreach (var part in new[] { "4.0 GiB are to be held", "one: weights 3.0 GiB; set Model:WeightStorage to int8", "one: keys 512.0 "
            + "MiB", "two: cache 512.0 MiB; lower Two:CacheBytes" })
            Assert.Contains(part, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Each_device_is_compared_with_its_own_free_memory_and_the_process_with_the_rest()
    {
        var report = new MemoryReport([Two.Claims[0] with { Device = "cuda:1" }, Two.Claims[1]]);
        DeviceMemory Card(string device) =>
            device == "cuda:1" ? new DeviceMemory("Card X", 4L << 30, 8L << 30)
                : throw new InvalidOperationException(device);
        // 3.5 of the usable 3.6 GiB on the device, and 0.5 of 0.5 GiB in the process
        report.Check(new AvailableMemory(512L << 20), Card);
        Assert.Contains("one on cuda:1: weights", report.ToString(), StringComparison.Ordinal);
        var process = Assert.Throws<CheckpointException>(() => report.Check(new AvailableMemory((512L << 20) - 1), Card));
        Assert.Contains("two: cache", process.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("one: weights", process.Message, StringComparison.Ordinal);
        var full = Assert.Throws<CheckpointException>(() =>
            report.Check(new AvailableMemory(512L << 20), device => Card(device) with { Free = 3L << 30 }));
        foreach (var part in new[] { "3.5 GiB are to be held",
            "cuda:1 (Card X) has 3.0 GiB free of 8.0 GiB, of which 2.7 GiB may be held",
            "one: weights 3.0 GiB; set Model:WeightStorage to int8" })
            Assert.Contains(part, full.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_machine_without_the_driver_says_so_by_the_device_name()
    {
        if (NativeLibrary.TryLoad("libcuda.so.1", out _)) return; // on a GPU machine bench/gpu-check.sh tests the device
        var refused = Assert.Throws<CheckpointException>(() => DeviceMemory.Of("cuda:0"));
        Assert.Contains("'cuda:0'", refused.Message, StringComparison.Ordinal);
        Assert.Contains("NVIDIA driver", refused.Message, StringComparison.Ordinal);
    }

    private static DeviceMemory NoDevice(string device) => throw new InvalidOperationException(device);

    [Fact]
    public void Remedies_tell_what_they_would_leave()
    {
        using var file = ModelDirectory.Open(RepositoryFiles.Path("models", "shapes")).OpenWeights("language");
        var (wide, narrow) = (
            MemoryReport.Weights(file, torch.ScalarType.Float32, WeightStorage.Native),
            MemoryReport.Weights(file, torch.ScalarType.BFloat16, WeightStorage.Int8));
        Assert.InRange((double)narrow.Bytes / wide.Bytes, 0.25, 0.3);
        Assert.Null(narrow.Remedy);
        Assert.Contains($"both ({MemoryReport.Size(narrow.Bytes)})", wide.Remedy, StringComparison.Ordinal);
    }
}
