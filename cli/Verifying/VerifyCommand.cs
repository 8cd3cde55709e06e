using System.CommandLine;
using Flamingo.Checkpoints;
using Flamingo.Cli.Reporting;
using Flamingo.Cli.Running;
using Flamingo.LanguageModel.Execution;
using Flamingo.Modeling;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Cli.Verifying;

/// <summary><c>flamingo verify</c>: does this model answer as the original code did? For anyone who converts a checkpoint.</summary>
public static class VerifyCommand
{
    public static Command Create()
    {
        var model = new Argument<DirectoryInfo>("MODEL") { Description = "The model directory." }.AcceptExistingOnly();
        var golden = new Option<DirectoryInfo>("--golden", "-g") { HelpName = "DIR", Required = true, Description = "Folder with golden.json and golden.safetensors, as the original code wrote them." }.AcceptExistingOnly();
        var pictures = new Option<DirectoryInfo>("--pictures", "-p") { HelpName = "DIR", Required = true, Description = "Folder with the picture files that golden.json lists." }.AcceptExistingOnly();
        var orientation = new Option<string>("--orientation")
        {
            HelpName = "exif|ignore",
            Description = "Whether pictures are turned upright by EXIF, in place of what flamingo.json says; the original code ignores EXIF.",
        };
        orientation.AcceptOnlyFromAmong("exif", "ignore");
        var command = new Command("verify", "Compare a model with golden values: pixels within one grey level, tensors within 1e-5 of the largest value, ids identical, log-likelihoods and the scores of beams within 1e-3. Exit code 3 if one does not hold.") { model, golden, pictures, orientation, SettingOption.Create() };
        command.SetAction((parsed, cancellation) => RunAsync(
            parsed.GetRequiredValue(model).FullName, parsed.GetRequiredValue(golden).FullName, parsed.GetRequiredValue(pictures).FullName,
            parsed.GetValue(orientation), SettingOption.Of(parsed), parsed.InvocationConfiguration.Output, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(
        string directory, string goldenDirectory, string pictures, string? orientation, IReadOnlyList<string> settings, TextWriter output,
        CancellationToken cancellation)
    {
        using var golden = Golden.Open(goldenDirectory);
        var counts = new int[3];
        void Report(Comparison comparison)
        {
            counts[(int)comparison.Outcome]++;
            output.WriteLine($"{comparison.Outcome.ToString().ToLowerInvariant(),-8} {comparison.Name}: {comparison.Detail}");
        }

        await using var services = EmbeddedServices.Build(directory, settings, stages => stages.AddLanguageModelStage());
        var model = services.GetRequiredService<ModelDirectory>();
        var tensors = new GoldenTensors(golden.Tensors);
        var latents = await new PictureVerification(model, services.GetRequiredService<InferenceThread>(), orientation).RunAsync(golden, tensors, pictures, Report, cancellation);
        var prompts = new PromptVerification((LanguageModelStage)services.GetRequiredService<ILanguageModel>(), model.Config.Tokens.Image.Id, latents);
        foreach (var prompt in golden.Prompts) await prompts.RunAsync(prompt, tensors, Report, cancellation);
        foreach (var name in tensors.Unused) Report(new(name, Outcome.Skipped, "this build does not know this tensor"));

        var (held, broken, skipped) = (counts[(int)Outcome.Held], counts[(int)Outcome.Broken], counts[(int)Outcome.Skipped]);
        await output.WriteLineAsync($"{held} held, {broken} broken, {skipped} skipped");
        if (broken > 0) return ExitCode.GoldenBroken;
        return held > 0 ? ExitCode.Done : throw new CheckpointException($"Nothing was compared: {goldenDirectory} holds no value that this build knows. Use goldens in the format of the reference's families.");
    }
}
