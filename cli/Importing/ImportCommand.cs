using System.CommandLine;
using Flamingo.Cli.Reporting;
using Flamingo.Import;

namespace Flamingo.Cli.Importing;

/// <summary><c>flamingo import</c>: a publication into a model directory.</summary>
public static class ImportCommand
{
    public static Command Create()
    {
        var layout = new Option<string>("--layout") { HelpName = "LAYOUT", Required = true, Description = "How the publication is laid out." };
        layout.AcceptOnlyFromAmong("openflamingo");
        var vision = new Option<FileSystemInfo>("--vision") { HelpName = "FILE|DIR", Required = true, Description = "open_clip weights; open_clip_config.json stands beside them." }.AcceptExistingOnly();
        var language = new Option<DirectoryInfo>("--language") { HelpName = "DIR", Required = true, Description = "The Hugging Face folder of the language model: config.json, tokenizer.json and weights (.bin or .safetensors, sharded or not)." }.AcceptExistingOnly();
        var checkpoint = new Option<FileInfo>("--checkpoint") { HelpName = "FILE", Required = true, Description = "checkpoint.pt with resampler, gated blocks and embeddings." }.AcceptExistingOnly();
        var every = new Option<int>("--cross-attention-every") { HelpName = "N", Required = true, Description = "A gated block stands before every N-th decoder layer (1 for OpenFlamingo-3B, 4 for 9B, 2 for 4B)." };
        every.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() < 1) result.AddError("--cross-attention-every must be 1 or more.");
        });
        var output = new Option<DirectoryInfo>("--output", "-o") { HelpName = "DIR", Required = true, Description = "The model directory to make; it must not exist yet." };
        var dtype = new Option<string>("--dtype") { HelpName = "keep|bf16|f16|f32", DefaultValueFactory = _ => "keep", Description = "Write weights in this dtype, or keep each one's own." };
        dtype.AcceptOnlyFromAmong("keep", "bf16", "f16", "f32");
        var modelId = new Option<string>("--model-id") { HelpName = "ID", Description = "The model's name. Default: the name of the output folder." };
        var command = new Command("import", "Turn a published checkpoint into a model directory. Pickles are read without executing anything in them.") { layout, vision, language, checkpoint, every, output, dtype, modelId };
        command.SetAction(async (parsed, cancellation) =>
        {
            var source = new OpenFlamingoSource(parsed.GetRequiredValue(vision).FullName, parsed.GetRequiredValue(language).FullName, parsed.GetRequiredValue(checkpoint).FullName, parsed.GetValue(every))
            {
                Dtype = parsed.GetValue(dtype) is { } wanted && wanted != "keep" ? wanted.ToUpperInvariant() : null,
                ModelId = parsed.GetValue(modelId),
            };
            var error = parsed.InvocationConfiguration.Error;
            var model = await ProgressBar.RunAsync(error, report => Task.FromResult(OpenFlamingoImport.Run(source, parsed.GetRequiredValue(output).FullName, new Tensors(report), cancellation)));
            await error.WriteLineAsync($"Imported {model.Config.ModelId} into {model.Path}. Look at it with 'flamingo inspect', compare it with goldens with 'flamingo verify'.");
            return ExitCode.Done;
        });
        return command;
    }

    private sealed class Tensors(Action<Progressed> report) : IProgress<ImportProgress>
    {
        public void Report(ImportProgress value) => report(new Progressed(value.Done, value.Total, value.Tensor));
    }
}
