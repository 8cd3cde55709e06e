using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Modeling.Devices;
using Flamingo.Modeling.Weights;
using Flamingo.Stages;
using ScalarType = TorchSharp.torch.ScalarType;

namespace Flamingo.Modeling.Memory;

/// <summary>Number of bytes that this process may use.</summary>
public sealed record AvailableMemory(long Bytes)
{
    /// <summary>
    /// The memory of the machine, or of the container that the process runs in. .NET sets a quarter of a cgroup's limit aside,
    /// and the working memory of requests fits in that quarter.
    /// </summary>
    public static AvailableMemory OfThisProcess() => new(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes);
}

/// <summary>The memory that all parts of a process will hold. The working memory of requests is needed in addition.</summary>
public sealed record MemoryReport(IReadOnlyList<MemoryClaim> Claims)
{
    public long Bytes => Claims.Sum(claim => claim.Items.Sum(item => item.Bytes));

    /// <summary>The size of a stage's weights as they will be held, computed from the header of the file.</summary>
    public static MemoryItem Weights(SafetensorsFile file, ScalarType dtype, WeightStorage storage)
    {
        var bytes = WeightsReader.BytesOf(file, dtype, storage);
        var remedies = new[]
        {
            (Name: "Model:Dtype to bfloat16", ScalarType.BFloat16, storage),
            (Name: "Model:WeightStorage to int8", dtype, WeightStorage.Int8),
            (Name: "both", ScalarType.BFloat16, WeightStorage.Int8),
        };
        var less = remedies.Select(remedy => (remedy.Name, Bytes: WeightsReader.BytesOf(file, remedy.Item2, remedy.Item3)))
            .Where(remedy => remedy.Bytes < bytes).ToList();
        return new MemoryItem("weights", bytes, less.Count == 0
            ? null
            : $"set {string.Join(", ", less.Select(remedy => $"{remedy.Name} ({Size(remedy.Bytes)})"))}");
    }

    /// <summary>
    /// Compares the memory to be held with the available memory: that of the process, and the free memory of each device that a
    /// claim names.
    /// </summary>
    /// <param name="process">The memory of the process itself.</param>
    /// <param name="devices">Returns the memory of a device by the name that claims use for it.</param>
    /// <exception cref="CheckpointException">The memory does not suffice. The message contains every size and remedy.</exception>
    public void Check(AvailableMemory process, Func<string, DeviceMemory> devices)
    {
        foreach (var place in Claims.GroupBy(claim => claim.Device))
        {
            if (place.Key == "cpu")
            {
                Check([.. place], process.Bytes, $"this process may use {Size(process.Bytes)}");
                continue;
            }

            var device = devices(place.Key);
            Check(
                [.. place], device.Usable,
                $"{place.Key} ({device.Name}) has {Size(device.Free)} free of {Size(device.Total)}, "
                + $"of which {Size(device.Usable)} may be held");
        }
    }

    public override string ToString() => string.Join("; ", Claims.GroupBy(claim => (claim.Holder, claim.Device)).Select(claims =>
        $"{claims.Key.Holder}{(claims.Key.Device == "cpu" ? "" : $" on {claims.Key.Device}")}: " +
        string.Join(", ", claims.SelectMany(claim => claim.Items).Select(item => $"{item.What} {Size(item.Bytes)}"))))
        + $"; together {Size(Bytes)}";

    /// <summary>Formats a number of bytes in MiB or GiB.</summary>
    public static string Size(long bytes) =>
        bytes >= 1L << 30 ? $"{bytes / (double)(1L << 30):0.0} GiB" : $"{bytes / (double)(1L << 20):0.0} MiB";

    private static void Check(IReadOnlyList<MemoryClaim> claims, long available, string there)
    {
        var bytes = claims.Sum(claim => claim.Items.Sum(item => item.Bytes));
        if (bytes <= available) return;
        var lines = claims.SelectMany(claim => claim.Items.Select(item =>
            $"{claim.Holder}: {item.What} {Size(item.Bytes)}{(item.Remedy is null ? "" : $"; {item.Remedy}")}"));
        throw new CheckpointException(
            $"The model does not fit: {Size(bytes)} are to be held, {there}. Nothing was read.\n  {string.Join("\n  ", lines)}");
    }
}
