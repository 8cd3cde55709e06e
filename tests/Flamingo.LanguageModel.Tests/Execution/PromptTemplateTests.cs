using Flamingo.Checkpoints;

namespace Flamingo.LanguageModel.Tests.Execution;

/// <summary>The prompt templates in a stage's description.</summary>
public sealed class PromptTemplateTests(Models models)
{
    [Fact]
    public void Templates_come_from_the_model_directory()
    {
        var open = models.Stage("mpt1b").Description;
        Assert.Equal("{picture}Question:{question} Short answer:{answer}<|endofchunk|>", open.Prompts.Answer!.Text);
        Assert.Equal("{picture}Output:{answer}<|endofchunk|>", open.Prompts.Caption!.Text);
        Assert.Equal(
            [2, 2, 2],
            new[] { open.Prompts.Caption, open.Prompts.Answer, open.Prompts.Classify! }.Select(template => template.ZeroShot.Count));
        Assert.Null(open.Prompts.Chat);
        Assert.Superset(new HashSet<string> { "<image>", "<|endofchunk|>", "<PAD>" }, open.SpecialTokens.ToHashSet());

        var instruct = models.Stage("idefics").Description;
        Assert.Equal("User:{picture}{question}<end_of_utterance>\nAssistant: {answer}<end_of_utterance>\n", instruct.Prompts.Chat!.Text);
        Assert.Equal(instruct.Prompts.Chat.Text, instruct.Prompts.Answer!.Text);
        Assert.Superset(
            new HashSet<string> { "<image>", "<fake_token_around_image>", "<end_of_utterance>" }, instruct.SpecialTokens.ToHashSet());
    }

    [Fact]
    public void A_directory_without_templates_has_openflamingos_only_where_it_is_one()
    {
        Assert.NotNull(Described("old-openflamingo", config => config with { Prompts = null }).Prompts.Caption);
        var other = Described(
            "old-other", config => config with { Prompts = null, Provenance = config.Provenance with { Layout = "idefics" } }).Prompts;
        Assert.Equal((null, null, null), (other.Caption, other.Answer, other.Classify));
    }

    [Fact]
    public void A_template_that_cannot_be_used_refuses_the_start()
    {
        var refused = Assert.Throws<CheckpointException>(
            () =>
                Described(
                    "spoilt", config => config with { Prompts = new() { Caption = new() { Template = "<image>Output:{caption}" } } }));
        foreach (var named in new[] { "flamingo.json", "prompts.caption", "{caption}", "<image>" })
            Assert.Contains(named, refused.Message, StringComparison.Ordinal);
    }

    private Abstractions.LanguageModelDescription Described(string name, Func<ModelConfig, ModelConfig> change)
    {
        var model = models.Variant(name, "mpt1b", config => config, (_, tensor) => tensor);
        ModelDirectory.WriteConfig(model.Path, change(model.Config));
        using var stage = models.NewStage(ModelDirectory.Open(model.Path), new());
        return stage.Description;
    }
}
