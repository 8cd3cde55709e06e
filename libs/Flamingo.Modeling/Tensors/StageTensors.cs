using System.Collections.Immutable;
using Flamingo.Abstractions;
using Flamingo.Modeling.Devices;
using Flamingo.Stages;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Tensors;

/// <summary>
/// Converts between <see cref="TensorData"/>, which stages exchange, and torch tensors, which only the inference thread may use.
/// </summary>
public static class StageTensors
{
    public static ScalarType ScalarType(this TensorDtype dtype) => dtype switch
    {
        TensorDtype.Float16 => TorchSharp.torch.ScalarType.Float16,
        TensorDtype.BFloat16 => TorchSharp.torch.ScalarType.BFloat16,
        _ => TorchSharp.torch.ScalarType.Float32,
    };

    /// <summary>Returns the dtype in which results of a compute dtype are sent.</summary>
    public static TensorDtype ToTensorDtype(this ScalarType dtype) =>
        dtype == TorchSharp.torch.ScalarType.BFloat16 ? TensorDtype.BFloat16 : TensorDtype.Float32;

    /// <summary>Number of bytes of one element of a compute dtype.</summary>
    public static int ElementBytes(this ScalarType dtype) => dtype == TorchSharp.torch.ScalarType.Float32 ? 4 : 2;

    /// <summary>Parses the name of a dtype in flamingo.json: float32, float16 or bfloat16.</summary>
    public static TensorDtype ParseDtype(string name) => name switch
    {
        "float32" => TensorDtype.Float32,
        "float16" => TensorDtype.Float16,
        "bfloat16" or "bf16" => TensorDtype.BFloat16,
        _ => throw new Checkpoints.CheckpointException(
            $"'{name}' is not a known dtype; flamingo.json accepts float32, float16 or bfloat16."),
    };

    /// <summary>Copies a tensor to managed memory, in the given dtype.</summary>
    public static TensorData ToData(this Tensor tensor, TensorDtype dtype)
    {
        var flat = tensor.to(dtype.ScalarType()).cpu().contiguous();
        return new TensorData(dtype, [.. tensor.shape.Select(length => (int)length)], flat.bytes.ToArray());
    }

    /// <summary>
    /// Copies the items of a batch to managed memory with one download. Each item gets its own array, in the given dtype.
    /// </summary>
    /// <param name="batch">[items, ...]</param>
    /// <param name="leading">Number of dimensions of size 1 to put before the dimensions of each item.</param>
    public static IReadOnlyList<TensorData> ToItems(this Tensor batch, TensorDtype dtype, DeviceTransfer transfer, int leading = 0)
    {
        var flat = transfer.Download(batch.to(dtype.ScalarType()));
        var (items, size) = ((int)batch.shape[0], (int)(flat.numel() / batch.shape[0]) * TensorData.ElementSize(dtype));
        ImmutableArray<int> shape = [.. Enumerable.Repeat(1, leading), .. batch.shape[1..].Select(length => (int)length)];
        return [.. Enumerable.Range(0, items).Select(item => new TensorData(dtype, shape, Bytes(flat[item], size)))];
    }

    /// <summary>Copies data into a new f32 tensor on the host.</summary>
    public static Tensor ToTensor(this TensorData data) => Raw(data).to(TorchSharp.torch.ScalarType.Float32);

    /// <summary>Copies data into a new tensor on the device, in the given dtype.</summary>
    public static Tensor ToTensor(this TensorData data, DeviceTransfer transfer, ScalarType dtype) => transfer.Upload(Raw(data)).to(dtype);

    /// <summary>Copies items of equal shape and dtype into one tensor on the device with one upload.</summary>
    /// <returns>[items, ...], in the given dtype.</returns>
    public static Tensor ToTensor(this IReadOnlyList<TensorData> items, DeviceTransfer transfer, ScalarType dtype)
    {
        var raw = empty([items.Count, .. items[0].Shape.Select(length => (long)length)], items[0].Dtype.ScalarType(), CPU);
        foreach (var (index, item) in items.Index())
        {
            using var place = raw[index];
            item.Bytes.Span.CopyTo(place.bytes);
        }

        return transfer.Upload(raw).to(dtype);
    }

    private static byte[] Bytes(Tensor item, int size)
    {
        using (item)
        {
            var bytes = new byte[size];
            item.bytes.CopyTo(bytes);
            return bytes;
        }
    }

    private static Tensor Raw(TensorData data)
    {
        var raw = empty([.. data.Shape.Select(length => (long)length)], data.Dtype.ScalarType(), CPU);
        data.Bytes.Span.CopyTo(raw.bytes);
        return raw;
    }
}
