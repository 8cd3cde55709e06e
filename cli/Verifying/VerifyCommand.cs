using System.CommandLine;
using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Cli.Arguments;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;
using Flamingo.LanguageModel.Execution;
using Flamingo.Modeling.Runtime;
using Flamingo.Modeling.Weights;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Flamingo.Cli.Verifying;

/// <summary><c>flamingo verify</c> compares a converted checkpoint with results of the original code.</summary>
public static class VerifyCommand
{
    public static Command Create()
    {
        var model = new Argument<DirectoryInfo>("MODEL") { Description = "The model directory." }.MustExist("a model directory");
        var golden = new Option<DirectoryInfo>("--golden", "-g") { HelpName = "DIR", Required = true,
            Description = "Folder with golden.json and golden.safetensors, which the original code wrote. Every other golden*.json of "
            + "the same format is checked too; files of other formats are reported as skipped." }.MustExist("a folder with goldens");
        var pictures = new Option<DirectoryInfo>("--pictures", "-p") { HelpName = "DIR", Required = true,
            Description = "Folder with the picture files that golden.json lists." }
            .MustExist("the folder with the pictures of the goldens");
        var orientation = new Option<string>("--orientation")
        {
            HelpName = "exif|ignore",
            Description = "Whether pictures are rotated by their EXIF orientation. Overrides flamingo.json; "
            + "the original code ignores EXIF.",
        };
        orientation.MustBeOneOf("exif", "ignore");
        var command = new Command("verify",
            "Compare a model with golden values: pixels within one grey level, tensors within 1e-5 of the largest value, "
            + "ids exactly, log-likelihoods and the scores of beams within 1e-3. The exit code is 3 if one differs.")
            { model, golden, pictures, orientation, SettingOption.Create() };
        command.SetAction((parsed, cancellation) => RunAsync(
            parsed.GetRequiredValue(model).FullName, parsed.GetRequiredValue(golden).FullName, parsed.GetRequiredValue(pictures).FullName,
            parsed.GetValue(orientation), SettingOption.Of(parsed),
            parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(
        string directory, string goldenDirectory, string pictures, string? orientation, IReadOnlyList<string> settings,
        TextWriter output, TextWriter error, CancellationToken cancellation)
    {
        var counts = new int[3];
        void Report(Comparison comparison)
        {
            counts[(int)comparison.Outcome]++;
            output.WriteLine($"{comparison.Outcome.ToString().ToLowerInvariant(),-8} {comparison.Name}: {comparison.Detail}");
        }

        var goldens = Golden.OpenAll(goldenDirectory, Report);
        await using var services = EmbeddedServices.Build(directory, settings, stages => stages.AddLanguageModelStage());
        var model = services.GetRequiredService<ModelDirectory>();
        var (verification, language) = (new PictureVerification(model, services.GetRequiredService<InferenceThread>(), orientation),
            (LanguageModelStage)services.GetRequiredService<ILanguageModel>());
        IReadOnlyList<TensorData> mainLatents = [];
        foreach (var opened in goldens)
        {
            using var golden = opened;
            void Named(Comparison comparison) => Report(comparison with { Name = $"{golden.Prefix}{comparison.Name}" });
            var tensors = new GoldenTensors(golden.Tensors);
            var latents = golden.NamesPictures ? await verification.RunAsync(golden, tensors, pictures, Named, cancellation) : mainLatents;
            if (golden == goldens[0]) mainLatents = latents; // golden.json comes first if it exists
            var prompts = new PromptVerification(language, model.Config.Tokens, latents);
            foreach (var prompt in golden.Prompts) await prompts.RunAsync(prompt, tensors, Named, cancellation);
            foreach (var name in tensors.Unused) Named(new(name, Outcome.Skipped, "this version of flamingo does not know this tensor"));
        }

        var (held, broken, skipped) = (counts[(int)Outcome.Held], counts[(int)Outcome.Broken], counts[(int)Outcome.Skipped]);
        await output.WriteLineAsync($"{held} held, {broken} broken, {skipped} skipped");
        if (broken > 0)
        {
            foreach (var note in Rounding(model, services.GetRequiredService<IOptions<ModelOptions>>().Value))
                await error.WriteLineAsync($"flamingo: {note}");
            return ExitCode.GoldenBroken;
        }

        return held > 0
            ? ExitCode.Done
            : throw new CheckpointException(
                $"Nothing was compared, because {goldenDirectory} holds no value that this version of flamingo knows. "
                    + "Use golden files in the "
                + $"format of tests/reference/families.");
    }

    private static HashSet<string> Dtypes(ModelDirectory model, string part)
    {
        using var file = model.OpenWeights(part);
        return [.. file.Entries.Values.Select(entry => entry.Dtype)];
    }

    // Names settings whose rounding alone exceeds the tolerances, even for a correct model.
    private static IEnumerable<string> Rounding(ModelDirectory model, ModelOptions options)
    {
        var rounded = model.Config.Weights.Where(part => Dtypes(model, part.Key).Overlaps(["BF16", "F16"])).ToList();
        if (rounded.Count > 0)
            yield return $"{string.Join(", ", rounded.Select(part => part.Value.File))} hold 16-bit weights (BF16 or F16). If the "
            + "golden values come from 32-bit weights, this rounding alone exceeds the tolerances. "
            + "Verify an import with --dtype keep or f32, then use this model.";

        if (options.Dtype != "float32") yield return $"Model:Dtype is {options.Dtype}, but the tolerances are those of float32.";
        if (options.WeightStorage != "native")
            yield return $"Model:WeightStorage is {options.WeightStorage}, but the tolerances are those of native weights.";
    }
}
