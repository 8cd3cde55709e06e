using Flamingo.Abstractions;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Wire;

/// <summary>Converts the prompt templates of a checkpoint.</summary>
internal static class PromptTemplateWire
{
    public static V1.PromptTemplates ToMessage(this PromptTemplates record) => new()
    {
        Caption = ToMessage(record.Caption), Answer = ToMessage(record.Answer), Classify = ToMessage(record.Classify),
        Chat = ToMessage(record.Chat),
    };

    public static PromptTemplates ToRecord(this V1.PromptTemplates? message) => new()
    {
        Caption = ToRecord(message?.Caption), Answer = ToRecord(message?.Answer), Classify = ToRecord(message?.Classify),
        Chat = ToRecord(message?.Chat),
    };

    private static V1.PromptTemplate? ToMessage(PromptTemplate? record)
    {
        if (record is null) return null;
        var message = new V1.PromptTemplate { Text = record.Text };
        message.ZeroShot.AddRange(
            record.ZeroShot.Select(example => new V1.PrimingExample { Question = example.Question, Answer = example.Answer }));
        message.CutAt.AddRange(record.CutAt);
        return message;
    }

    private static PromptTemplate? ToRecord(V1.PromptTemplate? message) => message is null ? null : new PromptTemplate(message.Text)
    {
        ZeroShot = [.. message.ZeroShot.Select(example => new PrimingExample(example.Question, example.Answer))],
        CutAt = [.. message.CutAt],
    };
}
