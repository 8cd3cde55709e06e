using Flamingo.Abstractions;
using Flamingo.Modeling.Runtime;
using Flamingo.Modeling.Tensors;
using Flamingo.Stages;

namespace Flamingo.Modeling.Tests.Runtime;

public sealed class DtypeNameTests
{
    [Theory]
    [InlineData("bf16", "bfloat16"), InlineData("BF16", "bfloat16"), InlineData("bfloat16", "bfloat16")]
    [InlineData("f32", "float32"), InlineData("fp32", "float32"), InlineData("float32", "float32")]
    public void Compute_dtypes_have_short_names_too(string written, string read)
    {
        var options = new ModelOptions { Dtype = written };
        Assert.Equal(read, options.Dtype);
        Assert.Equal(read == "bfloat16", ModelRuntime.Dtype(options) == TorchSharp.torch.ScalarType.BFloat16);
    }

    [Fact]
    public void Latent_dtypes_of_a_model_directory_have_both_names() =>
        Assert.Equal((TensorDtype.BFloat16, TensorDtype.BFloat16), (StageTensors.ParseDtype("bf16"), StageTensors.ParseDtype("bfloat16")));
}
