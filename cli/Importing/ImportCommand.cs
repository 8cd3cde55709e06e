using System.CommandLine;
using System.CommandLine.Parsing;
using Flamingo.Checkpoints;
using Flamingo.Cli.Reporting;
using Flamingo.Import;

namespace Flamingo.Cli.Importing;

/// <summary><c>flamingo import</c>: a publication into a model directory.</summary>
public static class ImportCommand
{
    private const string OpenFlamingo = "openflamingo", Idefics = "idefics";

    public static Command Create()
    {
        var layout = new Option<string>("--layout") { HelpName = "LAYOUT", Required = true, Description = "How the publication is laid out." };
        layout.AcceptOnlyFromAmong(OpenFlamingo, Idefics);
        var folder = new Option<DirectoryInfo>("--source", "-s") { HelpName = "DIR", Description = "idefics: the publication's folder, with config.json, tokenizer and weights." }.AcceptExistingOnly();
        var vision = new Option<FileSystemInfo>("--vision") { HelpName = "FILE|DIR", Description = "openflamingo: CLIP weights of open_clip (open_clip_config.json beside them), OpenAI (the .pt archive) or Hugging Face (config.json beside them)." }.AcceptExistingOnly();
        var language = new Option<DirectoryInfo>("--language") { HelpName = "DIR", Description = "openflamingo: the Hugging Face folder of the language model, with config.json, tokenizer.json or tokenizer.model, and weights (.bin or .safetensors, sharded or not)." }.AcceptExistingOnly();
        var checkpoint = new Option<FileInfo>("--checkpoint") { HelpName = "FILE", Description = "openflamingo: checkpoint.pt with resampler, gated blocks and embeddings." }.AcceptExistingOnly();
        var every = new Option<int>("--cross-attention-every") { HelpName = "N", Description = "openflamingo: a gated block stands before every N-th decoder layer (1 for OpenFlamingo-3B, 4 for 9B, 2 for 4B)." };
        every.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() < 1) result.AddError("--cross-attention-every must be 1 or more.");
        });
        var output = new Option<DirectoryInfo>("--output", "-o") { HelpName = "DIR", Required = true, Description = "The model directory to make; it must not exist yet, unless it is this very import's." };
        var dtype = new Option<string>("--dtype") { HelpName = "keep|bf16|f16|f32", DefaultValueFactory = _ => "keep", Description = "Write weights in this dtype, or keep each one's own." };
        dtype.AcceptOnlyFromAmong("keep", "bf16", "f16", "f32", "bfloat16", "float16", "float32");
        var alpha = new Option<string>("--alpha")
        {
            HelpName = "drop|white|black",
            Description = "What becomes of transparency: dropped (the colours beneath it show, often black), or laid over white or black. "
                + "Default: as the family was trained, drop for openflamingo, white for idefics.",
        };
        alpha.AcceptOnlyFromAmong("drop", "white", "black");
        var modelId = new Option<string>("--model-id") { HelpName = "ID", Description = "The model's name. Default: the name of the output folder." };
        var command = new Command("import", "Turn a published checkpoint into a model directory. Pickles are read without executing anything in them.") { layout, folder, vision, language, checkpoint, every, output, dtype, alpha, modelId };
        command.Validators.Add(result => CheckLayout(result, result.GetValue(layout), folder, [vision, language, checkpoint, every]));
        command.SetAction(async (parsed, cancellation) =>
        {
            var weights = parsed.GetRequiredValue(dtype).Replace("float", "f", StringComparison.Ordinal).ToUpperInvariant();
            if (weights == "KEEP") weights = null;
            var (name, target) = (parsed.GetValue(modelId), parsed.GetRequiredValue(output).FullName);
            ModelDirectory Import(IProgress<ImportProgress> progress) => parsed.GetValue(layout) == Idefics
                ? IdeficsImport.Run(new IdeficsSource(parsed.GetRequiredValue(folder).FullName) { Dtype = weights, Alpha = parsed.GetValue(alpha), ModelId = name }, target, progress, cancellation)
                : OpenFlamingoImport.Run(
                    new OpenFlamingoSource(parsed.GetRequiredValue(vision).FullName, parsed.GetRequiredValue(language).FullName, parsed.GetRequiredValue(checkpoint).FullName, parsed.GetValue(every)) { Dtype = weights, Alpha = parsed.GetValue(alpha), ModelId = name },
                    target, progress, cancellation);

            var (error, stood) = (parsed.InvocationConfiguration.Error, Directory.Exists(target));
            var model = await ProgressBar.RunAsync(error, report => Task.FromResult(Import(new Tensors(report))));
            if (model.Config.Provenance.Note is { } note) await error.WriteLineAsync($"Note: {note}.");
            await error.WriteLineAsync($"{(stood ? $"{model.Config.ModelId} stands in {model.Path} already, from the same files: nothing to do." : $"Imported {model.Config.ModelId} into {model.Path}.")} Look at it with 'flamingo inspect', compare it with goldens with 'flamingo verify'.");
            return ExitCode.Done;
        });
        return command;
    }

    private static void CheckLayout(CommandResult result, string? layout, Option folder, IReadOnlyList<Option> parts)
    {
        foreach (var option in parts.Append(folder))
        {
            var (wanted, given) = (option == folder == (layout == Idefics), result.GetResult(option) is { Implicit: false });
            if (wanted && !given) result.AddError($"{option.Name} is required for --layout {layout}.");
            if (!wanted && given) result.AddError($"{option.Name} is not for --layout {layout}.");
        }
    }

    private sealed class Tensors(Action<Progressed> report) : IProgress<ImportProgress>
    {
        public void Report(ImportProgress value) => report(new Progressed(value.Done, value.Total, value.ToString()));
    }
}
