using System.CommandLine;
using System.Globalization;
using Flamingo.GpuCheck;

// The invariant culture keeps numbers the same in every locale.
CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;

var torchOption = new Option<string>("--torch")
{
    HelpName = "DIR",
    DefaultValueFactory = _ => "",
    Description = "The PyTorch installation whose libtorch is used; empty for the build's own libtorch.",
};
var deviceOption = new Option<string>("--device")
{
    HelpName = "cuda|cuda:N|cpu",
    DefaultValueFactory = _ => "cuda",
    Description = "The device that is compared with the golden values and measured.",
};
var data = new Option<DirectoryInfo>("--data")
{
    HelpName = "DIR",
    Required = true,
    Description = "The folder with families, evaluation and shapes that 'gather' created.",
};
var minutes = new Option<double>("--minutes")
{
    DefaultValueFactory = _ => 9.5,
    Description = "Parts that have not begun after this time are left out, and the verdict is 'incomplete'.",
};
var geometry = new Option<string>("--geometry")
{
    HelpName = "openflamingo-3b|none",
    Description = "The model whose speed is measured: random weights of this geometry, or the trained model in DIR. " +
        "Default: openflamingo-3b on cuda, none on cpu.",
};
geometry.AcceptOnlyFromAmong("openflamingo-3b", "none");
var parts = new Option<string[]>("--parts")
{
    HelpName = "NAME …",
    AllowMultipleArgumentsPerToken = true,
    Description = "Run only these parts: goldens, answers, flips, speed. Default: all.",
};
parts.AcceptOnlyFromAmong([.. CheckRequest.AllParts]);
var reference = new Argument<DirectoryInfo>("REFERENCE") { Description = "The repository's tests/reference." };
var model = new Argument<DirectoryInfo>("MODEL") { Description = "The repository's models/shapes." };
var output = new Argument<DirectoryInfo>("OUTPUT") { Description = "The folder to create." };

var gather = new Command(
    "gather", "Import the reference families and put all files of a check into one folder. This needs no libtorch.")
{
    reference, model, output,
};
gather.SetAction(parsed => CheckData.Gather(
    parsed.GetRequiredValue(reference).FullName, parsed.GetRequiredValue(model).FullName, parsed.GetRequiredValue(output).FullName));
var root = new RootCommand(
    "Compares what this build computes on a GPU with what the original code computed, and measures its speed. " +
    "One JSON line per figure, then a verdict. " +
    "Exit codes: 0 passed, 1 failed or incomplete, 2 wrong usage.")
{
    torchOption, deviceOption, data, minutes, parts, geometry, gather,
};
root.SetAction((parsed, cancellation) => Check.RunAsync(
    new CheckRequest(
        parsed.GetValue(torchOption)!, parsed.GetValue(deviceOption)!, parsed.GetRequiredValue(data).FullName,
        TimeSpan.FromMinutes(parsed.GetValue(minutes)), parsed.GetValue(geometry))
    {
        Parts = parsed.GetValue(parts) is { Length: > 0 } some ? some : CheckRequest.AllParts,
    }, Console.Out, cancellation));
var parsed = root.Parse(args);
if (parsed.Errors.Count > 0)
{
    foreach (var error in parsed.Errors) Console.Error.WriteLine($"gpu-check: {error.Message}");
    return 2;
}

return await parsed.InvokeAsync();
