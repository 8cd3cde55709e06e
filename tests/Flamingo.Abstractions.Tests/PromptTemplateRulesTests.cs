namespace Flamingo.Abstractions.Tests;

public sealed class PromptTemplateRulesTests
{
    [Theory]
    [InlineData("{picture}Output:{answer}<|endofchunk|>")]
    [InlineData("User:{picture}Describe.<end_of_utterance>\nAssistant: {answer}<end_of_utterance>\n")]
    public void A_template_without_a_question_is_taken(string text) =>
        Assert.Empty(Faults(new() { Caption = new(text), Classify = new(text) }));

    [Theory]
    [InlineData("{picture}Question:{question} Short answer:{answer}<|endofchunk|>")]
    [InlineData("{question}{picture}{answer}\n")]
    public void A_template_with_a_question_is_taken(string text) => Assert.Empty(Faults(new() { Answer = new(text), Chat = new(text) }));

    [Theory]
    [InlineData("<image>Output:{answer}.", "the picture marker '<image>'")]
    [InlineData("{picture}<fake>Output:{answer}.", "the picture marker '<fake>'")]
    [InlineData("Output:{answer}.", "{picture} 0 times")]
    [InlineData("{picture}{picture}Output:{answer}.", "{picture} 2 times")]
    [InlineData("{picture}Output:", "{answer} 0 times")]
    [InlineData("{picture}{question}Output:{answer}.", "{question} 1 times, not 0")]
    [InlineData("{picture}{label}Output:{answer}.", "{label}, which is none of")]
    [InlineData("{picture}{Output:{answer}.", "which is none of")]
    [InlineData("Output:{answer}{picture}.", "{answer} must come after the other placeholders")]
    [InlineData("{picture}Output:{answer}", "no text ends an example")]
    public void What_cannot_be_used_is_named(string text, string named) =>
        Assert.Contains(Faults(new() { Caption = new(text) }),
            fault => fault.StartsWith("prompts.caption", StringComparison.Ordinal) && fault.Contains(named, StringComparison.Ordinal));

    [Fact]
    public void Examples_have_what_their_template_has_and_all_faults_come_at_once()
    {
        var (bare, asking) = ("{picture}Output:{answer}.", "{picture}{question}:{answer}.");
        var faults = Faults(new()
        {
            Caption = new(bare) { ZeroShot = [new("why?", "so")] }, Classify = new(bare) { ZeroShot = [new("", "a <image>")] },
            Answer = new(asking) { ZeroShot = [new("", "so")], CutAt = [""] }, Chat = new(bare),
        });
        Assert.Equal(["answer", "answer", "caption", "chat", "classify"], faults.Select(fault => fault.Split('.', ' ', ':')[1]).Order());
    }

    private static IReadOnlyList<string> Faults(PromptTemplates templates) => PromptTemplateRules.Faults(templates, ["<image>", "<fake>"]);
}
