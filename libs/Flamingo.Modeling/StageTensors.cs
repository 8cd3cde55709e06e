using System.Collections.Immutable;
using Flamingo.Stages;
using static TorchSharp.torch;

namespace Flamingo.Modeling;

/// <summary>Between <see cref="TensorData"/>, which travels, and torch tensors, which live on the inference thread.</summary>
public static class StageTensors
{
    public static ScalarType ScalarType(this TensorDtype dtype) => dtype switch
    {
        TensorDtype.Float16 => TorchSharp.torch.ScalarType.Float16,
        TensorDtype.BFloat16 => TorchSharp.torch.ScalarType.BFloat16,
        _ => TorchSharp.torch.ScalarType.Float32,
    };

    /// <summary>How a compute dtype travels.</summary>
    public static TensorDtype ToTensorDtype(this ScalarType dtype) => dtype == TorchSharp.torch.ScalarType.BFloat16 ? TensorDtype.BFloat16 : TensorDtype.Float32;

    /// <summary>Bytes of one element of a dtype that weights are computed in.</summary>
    public static int ElementBytes(this ScalarType dtype) => dtype == TorchSharp.torch.ScalarType.Float32 ? 4 : 2;

    /// <summary>The dtype by its name in flamingo.json: float32, float16 or bfloat16.</summary>
    public static TensorDtype ParseDtype(string name) => name switch
    {
        "float32" => TensorDtype.Float32,
        "float16" => TensorDtype.Float16,
        "bfloat16" or "bf16" => TensorDtype.BFloat16,
        _ => throw new Checkpoints.CheckpointException($"'{name}' is no dtype; flamingo.json takes float32, float16 or bfloat16."),
    };

    /// <summary>Copies a tensor out, in the given dtype; the result shares nothing with torch.</summary>
    public static TensorData ToData(this Tensor tensor, TensorDtype dtype)
    {
        var flat = tensor.to(dtype.ScalarType()).cpu().contiguous();
        return new TensorData(dtype, [.. tensor.shape.Select(length => (int)length)], flat.bytes.ToArray());
    }

    /// <summary>Copies data into a new f32 tensor on the device.</summary>
    public static Tensor ToTensor(this TensorData data, Device device)
    {
        var raw = empty([.. data.Shape.Select(length => (long)length)], data.Dtype.ScalarType());
        data.Bytes.Span.CopyTo(raw.bytes);
        return raw.to(TorchSharp.torch.ScalarType.Float32, device);
    }
}
