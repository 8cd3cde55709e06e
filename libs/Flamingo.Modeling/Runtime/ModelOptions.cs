using System.ComponentModel.DataAnnotations;
using Flamingo.Modeling.Devices;
using Flamingo.Modeling.Weights;

namespace Flamingo.Modeling.Runtime;

/// <summary>An operator's options for the model of a stage; section <c>Model</c> of its configuration.</summary>
public sealed class ModelOptions
{
    public const string Section = "Model";

    /// <summary>Regular expression of the values of a device option. The device option of a stage may also be empty.</summary>
    public const string Devices = @"cpu|cuda(:\d+)?";

    /// <summary>The model directory (flamingo.json and weights).</summary>
    [Required(ErrorMessage = "a model directory, such as 'flamingo import' creates")]
    public string Directory { get; set; } = "models/shapes";

    /// <summary>Torch device of all stages of the process whose own device option is empty: cpu, cuda or cuda:N.</summary>
    [Required, RegularExpression(Devices, ErrorMessage = "cpu, cuda or cuda:N")]
    public string Device { get; set; } = "cpu";

    /// <summary>
    /// Folder of an existing PyTorch installation whose libtorch (and with it CUDA) is used: site-packages, its folder torch, or
    /// torch/lib. It can be set only in builds with <c>-p:TorchBackend=pytorch</c>, which contain no libtorch. If it is empty,
    /// the build's own libtorch is used.
    /// </summary>
    public string TorchLibraries { get; set; } = "";

    /// <summary>
    /// A version of PyTorch, such as 2.12, that is accepted in <see cref="TorchLibraries"/> although this build has not been
    /// tested with it.
    /// Run <c>bench/gpu-check.sh</c> with that installation first: it compares every golden value.
    /// </summary>
    [RegularExpression(@"\d+\.\d+", ErrorMessage = "a major and a minor version such as 2.12, or empty")]
    public string TorchVersion { get; set; } = "";

    /// <summary>
    /// Data type of all computation, and of the weights in memory unless <see cref="WeightStorage"/> is int8, whatever the dtype
    /// of the file: float32 (reproduces the reference's answers) or bfloat16 (half the memory, several times the speed). The
    /// names f32 and fp32, and bf16, are accepted too.
    /// </summary>
    [AllowedValues("float32", "bfloat16",
        ErrorMessage = "float32 (f32) or bfloat16 (bf16). float16 is supported only in files, because CPUs have no fast float16 "
            + "products; such weights are converted to one of the two when they are loaded")]
    public string Dtype
    {
        get;
        set => field = value?.ToLowerInvariant() switch { "bf16" => "bfloat16", "f32" or "fp32" => "float32", _ => value! };
    } = "float32";

    /// <summary>
    /// How the matrices of linear layers are held in memory: native (in <see cref="Dtype"/>) or int8 (with one scale per output
    /// channel, converted when they are used).
    /// </summary>
    [AllowedValues("native", "int8")]
    public string WeightStorage { get; set; } = "native";

    /// <summary>
    /// Number of compute threads. With 0, it is the number of processors that the process may use, including the limit of its
    /// cgroup.
    /// </summary>
    [Range(0, 1024)]
    public int Threads { get; set; }
}
