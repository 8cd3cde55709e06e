using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Execution;

/// <summary>Reads the prompt templates of a model directory for the stage's description.</summary>
internal static class ModelPrompts
{
    /// <exception cref="CheckpointException">A template cannot be used; the message lists all faults.</exception>
    public static PromptTemplates Read(ModelDirectory model)
    {
        var (tokens, config) =
            (model.Config.Tokens, model.Config.Prompts ?? PromptsConfig.ByLayout(model.Config.Provenance.Layout, model.Config.Tokens));
        var templates = new PromptTemplates
        {
            Caption = Template(config.Caption), Answer = Template(config.Answer), Classify = Template(config.Classify),
            Chat = Template(config.Chat)
        };
        var faults = PromptTemplateRules.Faults(
            templates, [.. new[] { tokens.Image, tokens.AroundImage }.OfType<SpecialToken>().Select(token => token.Text)]);
        return faults.Count == 0
            ? templates
            : throw new CheckpointException($"{Path.Combine(model.Path, ModelDirectory.ConfigFile)} has prompt templates that cannot be "
                + "used:\n  "
                + $"{string.Join("\n  ", faults)}");
    }

    private static PromptTemplate? Template(PromptConfig? config) => config is null ? null : new PromptTemplate(config.Template)
    {
        ZeroShot = [.. config.ZeroShot.Select(example => new PrimingExample(example.Question ?? "", example.Answer))], CutAt = config.CutAt,
    };
}
