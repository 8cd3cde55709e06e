using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Kernels;

/// <summary>Where a CPU tensor's elements lie; keeps it alive until disposed.</summary>
public readonly unsafe struct TensorMemory : IDisposable
{
    private readonly Tensor _tensor;
    private readonly byte* _start;

    /// <param name="tensor">Not empty; may be a view.</param>
    public TensorMemory(Tensor tensor)
    {
        if (tensor.device_type != TorchSharp.DeviceType.CPU)
            throw new ArgumentException($"Computing in place needs the CPU, not {tensor.device}.");
        _tensor = tensor;
        (ElementSize, Stride) = ((int)tensor.ElementSize, tensor.stride(0));
        // .bytes refuses views that are not contiguous and pools of 2 GiB or more; a view of their first element costs some microseconds
        using var first = tensor.numel() * ElementSize < int.MaxValue && tensor.is_contiguous()
            ? null
            : tensor.as_strided([1], [1], tensor.storage_offset());
        _start = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference((first ?? tensor).bytes));
    }

    public int ElementSize { get; }

    /// <summary>Elements from one row to the next.</summary>
    public long Stride { get; }

    public void* At(long element) => _start + element * ElementSize;

    public void Dispose() => GC.KeepAlive(_tensor);
}
