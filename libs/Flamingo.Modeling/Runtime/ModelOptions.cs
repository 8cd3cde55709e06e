using System.ComponentModel.DataAnnotations;
using Flamingo.Modeling.Devices;
using Flamingo.Modeling.Weights;

namespace Flamingo.Modeling.Runtime;

/// <summary>An operator's options for the model of a stage; section <c>Model</c> of its configuration.</summary>
public sealed class ModelOptions
{
    public const string Section = "Model";

    /// <summary>What a device option may be, as a regular expression; that of a stage may be empty as well.</summary>
    public const string Devices = @"cpu|cuda(:\d+)?";

    /// <summary>The model directory (flamingo.json and weights).</summary>
    [Required(ErrorMessage = "a model directory, as 'flamingo import' makes them")]
    public string Directory { get; set; } = "models/shapes";

    /// <summary>Torch device of all stages of the process that name none of their own: cpu, cuda or cuda:N.</summary>
    [Required, RegularExpression(Devices, ErrorMessage = "cpu, cuda or cuda:N")]
    public string Device { get; set; } = "cpu";

    /// <summary>
    /// Folder of an existing PyTorch installation whose libtorch (and with it CUDA) is used: site-packages, its torch folder, or torch/lib.
    /// Only builds with <c>-p:TorchBackend=pytorch</c>, which carry no libtorch of their own, take it. Empty: the build's own libtorch.
    /// </summary>
    public string TorchLibraries { get; set; } = "";

    /// <summary>
    /// A version of PyTorch such as 2.12 that <see cref="TorchLibraries"/> may have although this build does not list it as proven.
    /// Run <c>bench/gpu-check.sh</c> with that installation first: it compares every golden value.
    /// </summary>
    [RegularExpression(@"\d+\.\d+", ErrorMessage = "a major and a minor version such as 2.12, or nothing")]
    public string TorchVersion { get; set; } = "";

    /// <summary>
    /// What all computing is done in, and weights are held in unless <see cref="WeightStorage"/> says otherwise, whatever dtype their file
    /// has: float32 (exact: the reference's answers) or bfloat16 (half the memory, several times the speed); f32 and fp32, and bf16, are
    /// other words for them.
    /// </summary>
    [AllowedValues("float32", "bfloat16", ErrorMessage = "float32 (f32) or bfloat16 (bf16). float16 is for files only: CPUs have no fast "
        + "float16 products, so such weights are widened or rounded to one of the two as they are loaded")]
    public string Dtype
    {
        get;
        set => field = value?.ToLowerInvariant() switch { "bf16" => "bfloat16", "f32" or "fp32" => "float32", _ => value! };
    } = "float32";

    /// <summary>
    /// How the matrices of linear layers are held: native (in <see cref="Dtype"/>) or int8 (with one scale per output channel, widened
    /// where they are used).
    /// </summary>
    [AllowedValues("native", "int8")]
    public string WeightStorage { get; set; } = "native";

    /// <summary>Compute threads; 0 is every processor that the process may use (cgroups counted).</summary>
    [Range(0, 1024)]
    public int Threads { get; set; }
}
