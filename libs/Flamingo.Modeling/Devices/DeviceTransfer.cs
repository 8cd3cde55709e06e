using System.Runtime.InteropServices;
using Flamingo.Modeling.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Devices;

/// <summary>
/// Where tensors cross between the host and the device that a stage computes on, once its weights are there (<see cref="WeightsReader"/>
/// moves each once). Attention maps and goldens are fetched without it, because they are not part of an ordinary step. Uploads go through
/// pinned memory and wait for nothing; a download waits for the device. On the CPU nothing is moved, but crossings are counted all the
/// same. It belongs to the inference thread.
/// </summary>
public sealed class DeviceTransfer(Device device) : IDisposable
{
    private readonly Dictionary<ScalarType, Tensor> _pinned = []; // receive downloads; each as large as the largest so far

    public Device Device { get; } = device;

    /// <summary>Tensors sent to the device so far.</summary>
    public long Uploads { get; private set; }

    /// <summary>Tensors fetched from the device so far; each waits for everything that the device was told to compute.</summary>
    public long Downloads { get; private set; }

    private bool IsCuda => Device.type == DeviceType.CUDA;

    /// <summary>A tensor of the host on the device: itself on the CPU, a copy elsewhere.</summary>
    public Tensor Upload(Tensor host)
    {
        Uploads++;
        if (Device.type == DeviceType.CPU) return host;
        if (!IsCuda) return host.to(Device);
        using var pinned = host.pin_memory(); // torch gives it back for reuse when the copy is done, not before
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
    /// A contiguous tensor of the host with the same elements. The next download may reuse its memory, so its contents are valid
    /// until then.
    /// </summary>
    public Tensor Download(Tensor tensor)
    {
        Downloads++;
        if (!IsCuda) return tensor.cpu().contiguous();
        var elements = tensor.numel();
        if (!_pinned.TryGetValue(tensor.dtype, out var pinned) || pinned.numel() < elements)
        {
            pinned?.Dispose();
            using var room = empty(Math.Max(elements, 1 << 16), tensor.dtype, CPU);
            _pinned[tensor.dtype] = pinned = room.pin_memory().DetachFromDisposeScope();
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
