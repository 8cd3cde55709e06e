using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Flamingo.Checkpoints;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;
using Flamingo.Import;
using Flamingo.LanguageModel.Tokenization;
using Flamingo.Modeling.Runtime;
using Flamingo.Training;
using Flamingo.Training.Data;
using Flamingo.Training.Golden;
using Flamingo.Training.Loop;
using TorchSharp;

namespace Flamingo.Cli.Training;

/// <summary><c>flamingo train</c> trains the bridge of a model: the resampler and the gated blocks, between two frozen models.</summary>
public static class TrainCommand
{
    public const string Name = "train";

    public static Command Create()
    {
        var model = new Option<DirectoryInfo>("--model", "-m") { HelpName = "DIR",
            Description = "The model directory that training begins with." }.MustExist("a model directory");
        var vision = new Option<FileSystemInfo>("--vision") { HelpName = "FILE|DIR",
            Description = "Instead of --model: CLIP weights as 'import' takes them, to begin with a new bridge between two models." }
            .MustExist("CLIP's weights or their folder");
        var language = new Option<DirectoryInfo>("--language") { HelpName = "DIR",
            Description = "With --vision: the Hugging Face folder of the language model." }.MustExist("the folder of the language model");
        var every = NumberOption.Create<int>("--cross-attention-every", "N",
            "With --vision: a gated block precedes every N-th decoder layer.", 1);
        var latents = NumberOption.Create<int>("--latents", "N", "With --vision: latents of one picture.", 1, value: 64);
        var depth = NumberOption.Create<int>("--resampler-depth", "N", "With --vision: layers of the resampler.", 1, value: 6);
        var golden = new Option<DirectoryInfo>("--golden", "-g") { HelpName = "DIR",
            Description = "Replays steps that OpenFlamingo's training recorded, in float32, and compares losses, gradients and what moved. "
            + "The exit code is 3 if something differs." }.MustExist("a folder with golden.json");
        var data = new Option<string[]>("--data") { HelpName = "SPEC[,loss=X]",
            Description = "A .jsonl file, or WebDataset tars with {000..009}, and the factor of its loss. Repeatable: every step takes a "
            + "batch of each." };
        var output = new Option<DirectoryInfo>("--output", "-o") { HelpName = "DIR",
            Description = "The model directory to write. DIR.run holds metrics, curves and checkpoints." };
        var steps = NumberOption.Create<int>("--steps", "N", "Optimiser steps of the whole run.", 1);
        var minutes = NumberOption.Create<double>("--minutes", "M", "Longest time of the whole run.", 0, moreThan: true);
        var tokens = NumberOption.Create<int>("--batch-tokens", "N", "Most tokens of a batch, padding included.", 1, value: 4096);
        var rate = NumberOption.Create<double>("--learning-rate", "X", "Highest learning rate.", 0, 1, moreThan: true, value: 1e-4);
        var warmUp = NumberOption.Create<int>("--warm-up", "N", "Steps during which the rate rises.", 0, value: 100);
        var schedule = new Option<string>("--schedule") { HelpName = "constant|linear|cosine", DefaultValueFactory = _ => "constant",
            Description = "What follows the warm-up." };
        schedule.MustBeOneOf("constant", "linear", "cosine");
        var decay = NumberOption.Create<double>("--weight-decay", "X", "Weight decay of the gated blocks.", 0, 1, value: 0.1);
        var beta = NumberOption.Create<double>("--beta2", "X", "Second beta of AdamW, below 1.", 0, 0.999999, value: 0.999);
        var clip = NumberOption.Create<double>("--clip", "X", "Largest norm of the gradients.", 0, moreThan: true, value: 1);
        var accumulate = NumberOption.Create<int>("--accumulate", "N", "Batches of each stream for one step.", 1, value: 1);
        var recompute = new Option<bool>("--recompute") {
            Description = "Computes inner values of layers again for gradients (gradient checkpointing): less memory, more time." };
        var dtype = new Option<string>("--dtype") { HelpName = "float32|bfloat16", DefaultValueFactory = _ => "float32",
            Description = "Dtype of the computation and of the frozen weights; trained weights are float32." };
        dtype.MustBeOneOf("float32", "bfloat16");
        var seed = NumberOption.Create<ulong>("--seed", "N", "Seed of the order of the data.", value: 0);
        var renew = NumberOption.Create<long>("--new-bridge", "SEED",
            "Begins with a new resampler and new gated blocks, whose gates are zero, between the model's frozen parts.");
        var export = new Option<FileInfo>("--export-openflamingo") { HelpName = "FILE",
            Description = "Also writes the trained weights as a checkpoint.pt that OpenFlamingo's code loads." }.MustBeWritable(".pt");
        var resume = new Option<bool>("--resume") { Description = "Goes on from the newest checkpoint in DIR.run." };
        var evaluate = new Option<FileInfo>("--evaluate") { HelpName = "EPISODES.jsonl",
            Description = "Held-out episodes: the share of right answers by task and shots is measured during the run." }
            .MustExist("a file of episodes");
        var evaluateEvery = NumberOption.Create<int>("--evaluate-every", "N", "Steps between measurements.", 1, value: 500);
        var saveEvery = NumberOption.Create<int>("--save-every", "N", "Steps between checkpoints.", 1, value: 500);
        var cache = new Option<DirectoryInfo>("--cache-features") { HelpName = "DIR",
            Description = "Keeps the features of pictures on disk, because the encoder never changes." };
        var teacher = NumberOption.Create<double>("--text-teacher", "X", "Weight of an auxiliary loss for data with descriptions: the "
            + "language model shall be in the state that it is in after reading the description.", 0, value: 0);
        var command = new Command(Name, "Train the resampler and the gated blocks of a model on pictures and text; vision encoder and "
            + "language model stay frozen. See docs/training.md.")
        {
            model, vision, language, every, latents, depth, golden, data, output, steps, minutes, tokens, rate, warmUp, schedule, decay,
            beta, clip, accumulate, recompute, dtype,
            seed, renew, export, resume, evaluate, evaluateEvery, saveEvery, cache, teacher,
        };
        command.AddRule(result =>
        {
            // A number that cannot be read is reported alone, so numbers are read first.
            foreach (var option in command.Options) Read(result, option);
            if (result.GetResult(golden) is not null)
            {
                if (result.GetResult(model) is null)
                    result.AddError("--golden replays steps of a model. Give it with --model, imported from the golden's family.");
                return;
            }

            var parts = new Option[] { vision, language, every };
            if (result.GetResult(model) is not null && parts.FirstOrDefault(part => result.GetResult(part) is not null) is { } extra)
                result.AddError($"{extra.Name} is not for --model, which has a bridge already; --new-bridge renews it.");
            if (result.GetResult(model) is null && parts.FirstOrDefault(part => result.GetResult(part) is null) is { } lacking)
                result.AddError($"{lacking.Name} is missing. Training begins with --model DIR, or with --vision, --language and "
                    + "--cross-attention-every.");
            foreach (var (option, missing) in new (Option, bool)[]
            {
                (data, result.GetResult(data) is null), (output, result.GetResult(output) is null),
                (steps, result.GetResult(steps) is null),
            })
                if (missing) result.AddError($"{option.Name} is missing. Give it, or --golden to replay recorded steps.");
        });
        command.SetAction((parsed, cancellation) =>
        {
            WaitingThreads.Sleep();
            var writer = parsed.InvocationConfiguration.Output;
            var opened = parsed.GetValue(model) is { } directory ? ModelDirectory.Open(directory.FullName) : BridgeAssembly.Run(
                new BridgeParts(parsed.GetValue(vision)!.FullName, parsed.GetValue(language)!.FullName, parsed.GetValue(every)!.Value)
                {
                    Latents = parsed.GetValue(latents)!.Value, ResamplerDepth = parsed.GetValue(depth)!.Value,
                    Seed = parsed.GetValue(renew) ?? 0, CheckTokenizer = file => JsonTokenizer.Load(file),
                },
                $"{parsed.GetValue(output)!.FullName}.start", null, cancellation);
            if (parsed.GetValue(golden) is { } recorded)
                return Task.FromResult(
                    GoldenReplay.Run(opened, recorded.FullName, writer.WriteLine) ? ExitCode.Done : ExitCode.GoldenBroken);
            var request = new TrainingRequest
            {
                Model = opened,
                Data = [.. parsed.GetRequiredValue(data).Select(DataSpec.Parse)],
                Output = parsed.GetValue(output)!.FullName,
                NewBridge = parsed.GetValue(model) is null ? null : parsed.GetValue(renew),
                ExportOpenFlamingo = parsed.GetValue(export)?.FullName,
                Resume = parsed.GetValue(resume),
                Evaluate = parsed.GetValue(evaluate)?.FullName,
                CacheFeatures = parsed.GetValue(cache)?.FullName,
                Dtype = parsed.GetValue(dtype) == "bfloat16" ? torch.ScalarType.BFloat16 : torch.ScalarType.Float32,
                Command = $"flamingo {string.Join(' ', parsed.Tokens.Select(token => token.Value))}",
                Options = new TrainingOptions
                {
                    Steps = parsed.GetValue(steps)!.Value,
                    Limit = parsed.GetValue(minutes) is { } limit ? TimeSpan.FromMinutes(limit) : null,
                    BatchTokens = parsed.GetValue(tokens)!.Value,
                    LearningRate = parsed.GetValue(rate)!.Value,
                    WarmUp = parsed.GetValue(warmUp)!.Value,
                    Schedule = parsed.GetValue(schedule)!,
                    Optimizer = new AdamWOptions(parsed.GetValue(decay)!.Value, Beta2: parsed.GetValue(beta)!.Value),
                    Clip = parsed.GetValue(clip)!.Value,
                    Accumulate = parsed.GetValue(accumulate)!.Value,
                    Recomputes = parsed.GetValue(recompute),
                    Seed = parsed.GetValue(seed)!.Value,
                    SaveEvery = parsed.GetValue(saveEvery)!.Value,
                    EvaluateEvery = parsed.GetValue(evaluateEvery)!.Value,
                    TeacherWeight = parsed.GetValue(teacher)!.Value,
                },
            };
            var job = new TrainingJob(request, line => { writer.WriteLine(line); writer.Flush(); }, TimeProvider.System);
            return Task.Run(() => job.Run(cancellation) ? ExitCode.Done : ExitCode.Interrupted, CancellationToken.None);
        });
        return command;
    }

    private static void Read(CommandResult result, Option option)
    {
        if (option is Option<int?> whole) result.GetValue(whole);
        else if (option is Option<double?> real) result.GetValue(real);
        else if (option is Option<ulong?> seed) result.GetValue(seed);
        else if (option is Option<long?> wide) result.GetValue(wide);
    }
}
