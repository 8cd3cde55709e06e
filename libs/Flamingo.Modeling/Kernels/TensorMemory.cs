using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Kernels;

/// <summary>Pointer to the elements of a CPU tensor. It keeps the tensor alive until it is disposed.</summary>
public readonly unsafe struct TensorMemory : IDisposable
{
    private readonly Tensor _tensor;
    private readonly byte* _start;

    /// <param name="tensor">A tensor that is not empty; it may be a view.</param>
    public TensorMemory(Tensor tensor)
    {
        if (tensor.device_type != TorchSharp.DeviceType.CPU)
            throw new ArgumentException($"Only the memory of CPU tensors can be accessed; this tensor is on {tensor.device}.");
        _tensor = tensor;
        (ElementSize, Stride) = ((int)tensor.ElementSize, tensor.stride(0));
        // TorchSharp's bytes property refuses non-contiguous views and tensors of 2 GiB or more. For these a view of the first
        // element is used, which costs some microseconds.
        using var first = tensor.numel() * ElementSize < int.MaxValue && tensor.is_contiguous()
            ? null
            : tensor.as_strided([1], [1], tensor.storage_offset());
        _start = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference((first ?? tensor).bytes));
    }

    /// <summary>Address of the first element.</summary>
    public nint Address => (nint)_start;

    public int ElementSize { get; }

    /// <summary>Number of elements from the beginning of one row to the beginning of the next.</summary>
    public long Stride { get; }

    public void* At(long element) => _start + element * ElementSize;

    public void Dispose() => GC.KeepAlive(_tensor);
}
