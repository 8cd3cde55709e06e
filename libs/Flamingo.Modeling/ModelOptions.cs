using System.ComponentModel.DataAnnotations;

namespace Flamingo.Modeling;

/// <summary>What an operator says of a stage's model; section <c>Model</c> of its configuration.</summary>
public sealed class ModelOptions
{
    public const string Section = "Model";

    /// <summary>The model directory (flamingo.json and weights).</summary>
    [Required(AllowEmptyStrings = false)]
    public string Directory { get; set; } = "models/shapes";

    /// <summary>Torch device: cpu, cuda or cuda:N.</summary>
    [Required, RegularExpression(@"cpu|cuda(:\d+)?")]
    public string Device { get; set; } = "cpu";

    /// <summary>What weights are widened or rounded to and all computing is done in: float32 (exact: the reference's answers) or bfloat16 (half the memory, several times the speed).</summary>
    [Required, RegularExpression("float32|bfloat16")]
    public string Dtype { get; set; } = "float32";

    /// <summary>Compute threads; 0 is every processor that the process may use (cgroups counted).</summary>
    [Range(0, 1024)]
    public int Threads { get; set; }
}
