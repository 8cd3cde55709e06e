using System.CommandLine;
using System.CommandLine.Parsing;
using Flamingo.Checkpoints;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;
using Flamingo.Import;
using Flamingo.LanguageModel.Tokenization;

namespace Flamingo.Cli.Importing;

/// <summary><c>flamingo import</c> converts a published checkpoint into a model directory.</summary>
public static class ImportCommand
{
    private const string OpenFlamingo = "openflamingo", Idefics = "idefics";

    public static Command Create()
    {
        var layout = new Option<string>("--layout")
        {
            HelpName = "LAYOUT", Required = true, Description = "The file layout of the published checkpoint.",
        };
        layout.MustBeOneOf(OpenFlamingo, Idefics);
        var folder = new Option<DirectoryInfo>("--source", "-s") { HelpName = "DIR",
            Description = "idefics: the folder of the published checkpoint, with config.json, tokenizer and weights." }
            .MustExist("the publication's folder");
        var vision = new Option<FileSystemInfo>("--vision") { HelpName = "FILE|DIR",
            Description = "openflamingo: the CLIP weights, from open_clip (with open_clip_config.json in the same folder), "
            + "OpenAI (the .pt archive) or Hugging Face (with config.json in the same folder)." }
            .MustExist("CLIP's weights or their folder");
        var language = new Option<DirectoryInfo>("--language") { HelpName = "DIR",
            Description = "openflamingo: the Hugging Face folder of the language model, with config.json, tokenizer.json or "
            + "tokenizer.model, and weights (.bin or .safetensors, sharded or not)." }
            .MustExist("the folder of the language model");
        var checkpoint = new Option<FileSystemInfo>("--checkpoint")
        {
            HelpName = "FILE|DIR",
            Description =
                "openflamingo: checkpoint.pt with resampler, gated blocks and embeddings, or a folder that contains only this file.",
        }.MustExist("checkpoint.pt or its folder");
        var every = NumberOption.Create<int>(
            "--cross-attention-every", "N",
            "openflamingo: a gated block precedes every N-th decoder layer (1 for OpenFlamingo-3B, 4 for 9B, 2 for 4B).", least: 1);
        var output = new Option<DirectoryInfo>("--output", "-o")
        {
            HelpName = "DIR", Required = true,
            Description = "The model directory to create. It must not exist yet, unless it is the result of the same import.",
        };
        var dtype = new Option<string>("--dtype")
        {
            HelpName = "keep|bf16|f16|f32", DefaultValueFactory = _ => "keep",
            Description = "Write all weights in this dtype, or keep the dtype of each tensor.",
        };
        dtype.MustBeOneOf("keep", "bf16", "f16", "f32", "bfloat16", "float16", "float32");
        var alpha = new Option<string>("--alpha")
        {
            HelpName = "drop|white|black",
            Description =
                "How transparency is removed from pictures: drop ignores the alpha channel, so that the hidden colours show (often "
                    + "black); white and black blend the picture over that colour. Default: as the family was trained, "
                    + "drop for openflamingo, white for idefics.",
        };
        alpha.MustBeOneOf("drop", "white", "black");
        var modelId = new Option<string>("--model-id")
        {
            HelpName = "ID", Description = "The model's name. Default: the name of the output folder.",
        };
        var command = new Command("import",
            "Convert a published checkpoint into a model directory. Pickles are parsed without executing any code in them.")
            { layout, folder, vision, language, checkpoint, every, output, dtype, alpha, modelId };
        command.AddRule(result => CheckLayout(result, result.GetValue(layout), folder, [vision, language, checkpoint, every]));
        command.SetAction(async (parsed, cancellation) =>
        {
            var weights = parsed.GetRequiredValue(dtype).Replace("float", "f", StringComparison.Ordinal).ToUpperInvariant();
            if (weights == "KEEP") weights = null;
            var (name, target) = (parsed.GetValue(modelId), parsed.GetRequiredValue(output).FullName);
            static void Read(string tokenizer) => JsonTokenizer.Load(tokenizer);
            ModelDirectory Import(IProgress<ImportProgress> progress) => parsed.GetValue(layout) == Idefics
                ? IdeficsImport.Run(
                    new IdeficsSource(parsed.GetRequiredValue(folder).FullName)
                    {
                        Dtype = weights, Alpha = parsed.GetValue(alpha), ModelId = name, CheckTokenizer = Read,
                    },
                    target, progress, cancellation)
                : OpenFlamingoImport.Run(
                    new OpenFlamingoSource(
                        parsed.GetRequiredValue(vision).FullName, parsed.GetRequiredValue(language).FullName,
                        parsed.GetRequiredValue(checkpoint).FullName, parsed.GetRequiredValue(every)!.Value)
                    {
                        Dtype = weights, Alpha = parsed.GetValue(alpha), ModelId = name, CheckTokenizer = Read,
                    },
                    target, progress, cancellation);

            var (error, existed) = (parsed.InvocationConfiguration.Error, Directory.Exists(target));
            var model = await ProgressBar.RunAsync(error, report => Task.FromResult(Import(new Tensors(report))));
            foreach (var warning in model.Config.Provenance.Warnings ?? []) await error.WriteLineAsync($"Warning: {warning}.");
            if (model.Config.Provenance.Note is { } note) await error.WriteLineAsync($"Note: {note}.");
            var path = Path.GetRelativePath(Environment.CurrentDirectory, model.Path);
            await error.WriteLineAsync(existed
                ? $"{model.Path} already holds {model.Config.ModelId} from the same files. Nothing was changed."
                : $"Imported {model.Config.ModelId} into {model.Path}.");
            await error.WriteLineAsync(
                "'flamingo inspect' shows what it holds, 'flamingo verify' compares it with golden values. Serve it with:");
            await error.WriteLineAsync($"  flamingo serve --model {Quoted(path)}");
            return ExitCode.Done;
        });
        return command;
    }

    // Quotes a path for a POSIX shell.
    private static string Quoted(string path) =>
        path.All(character => char.IsAsciiLetterOrDigit(character) || "/._-+=:".Contains(character, StringComparison.Ordinal))
            ? path
            : $"'{path.Replace("'", "'\\''", StringComparison.Ordinal)}'";

    private static void CheckLayout(CommandResult result, string? layout, Option folder, IReadOnlyList<Option> parts)
    {
        if (layout is not (OpenFlamingo or Idefics)) return; // the option itself reports an unknown layout
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
