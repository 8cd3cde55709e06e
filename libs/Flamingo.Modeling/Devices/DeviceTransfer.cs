using System.Runtime.InteropServices;
using Flamingo.Modeling.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Devices;

/// <summary>
/// Copies tensors between the host and the device that a stage computes on. Weights do not use it (<see cref="WeightsReader"/>
/// moves each once), nor do attention maps and golden values, because they are not part of an ordinary step. Uploads use pinned
/// memory and do not wait; a download waits for the device. On the CPU nothing is copied, but uploads and downloads are counted
/// all the same. Only the inference thread may use it.
/// </summary>
public sealed class DeviceTransfer(Device device) : IDisposable
{
    // buffers of downloads by dtype; each as large as the largest download so far
    private readonly Dictionary<ScalarType, Tensor> _pinned = [];

    public Device Device { get; } = device;

    /// <summary>Number of tensors sent to the device since the start.</summary>
    public long Uploads { get; private set; }

    /// <summary>
    /// Number of tensors fetched from the device since the start. Each download waits until the device has finished all submitted
    /// work.
    /// </summary>
    public long Downloads { get; private set; }

    private bool IsCuda => Device.type == DeviceType.CUDA;

    /// <summary>Returns a tensor on the device with the contents of a host tensor: the same tensor on the CPU, a copy elsewhere.</summary>
    public Tensor Upload(Tensor host)
    {
        Uploads++;
        if (Device.type == DeviceType.CPU) return host;
        if (!IsCuda) return host.to(Device);
        using var pinned = host.pin_memory(); // torch reuses the memory only after the copy has finished
        return pinned.to(Device.type, Device.index, non_blocking: true);
    }

    /// <returns>int64 [values], on the device.</returns>
    public Tensor Upload(ReadOnlySpan<long> values)
    {
        var host = empty(values.Length, ScalarType.Int64, CPU);
        if (values.Length > 0) values.CopyTo(MemoryMarshal.Cast<byte, long>(host.bytes));
        var uploaded = Upload(host);
        if (Device.type != DeviceType.CPU) host.Dispose();
        return uploaded;
    }

    /// <summary>
    /// Returns a contiguous host tensor with the same elements. The next download may reuse its memory, so its contents are valid
    /// only until then.
    /// </summary>
    public Tensor Download(Tensor tensor)
    {
        Downloads++;
        if (!IsCuda) return tensor.cpu().contiguous();
        var elements = tensor.numel();
        if (!_pinned.TryGetValue(tensor.dtype, out var pinned) || pinned.numel() < elements)
        {
            pinned?.Dispose();
            using var buffer = empty(Math.Max(elements, 1 << 16), tensor.dtype, CPU);
            _pinned[tensor.dtype] = pinned = buffer.pin_memory().DetachFromDisposeScope();
        }

        var host = pinned.slice(0, 0, elements, 1).view(tensor.shape);
        host.copy_(tensor, nonBlocking: true);
        cuda.synchronize(Device);
        return host;
    }

    public void Dispose()
    {
        foreach (var pinned in _pinned.Values) pinned.Dispose();
    }
}
