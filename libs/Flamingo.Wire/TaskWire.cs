using Flamingo.Abstractions;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Wire;

/// <summary>Converts requests and results of tasks: captions, answers, classifications and conversations.</summary>
public static class TaskWire
{
    public static V1.CaptionRequest ToMessage(this CaptionTask record) => new()
    {
        Prompt = ToMessage(record.Prompt), Sampling = record.Sampling.ToMessage(),
    };

    public static CaptionTask ToRecord(this V1.CaptionRequest message, string tenant) =>
        new(ToRecord(message.Prompt, tenant), message.Sampling.ToRecord());

    public static V1.AnswerRequest ToMessage(this AnswerTask record) => new()
    {
        Prompt = ToMessage(record.Prompt), Question = record.Question, Sampling = record.Sampling.ToMessage(),
    };

    public static AnswerTask ToRecord(this V1.AnswerRequest message, string tenant) =>
        new(ToRecord(message.Prompt, tenant), message.Question, message.Sampling.ToRecord());

    public static V1.ClassifyRequest ToMessage(this ClassifyTask record)
    {
        var message = new V1.ClassifyRequest
        {
            Prompt = ToMessage(record.Prompt), Scoring = (V1.LabelScoring)record.Scoring, Ensemble = record.Ensemble?.ToMessage(),
        };
        message.Labels.AddRange(record.Labels);
        return message;
    }

    public static ClassifyTask ToRecord(this V1.ClassifyRequest message, string tenant) =>
        new(ToRecord(message.Prompt, tenant), [.. message.Labels])
    {
        Scoring = message.Scoring == V1.LabelScoring.Unspecified ? LabelScoring.Mean : (LabelScoring)message.Scoring,
        Ensemble = message.Ensemble?.ToRecord(),
    };

    public static V1.ChatRequest ToMessage(this ChatTask record)
    {
        var message = new V1.ChatRequest
        {
            Sampling = record.Sampling.ToMessage(), PinPrefix = record.PinPrefix.ToMessage(), Attention = record.Attention?.ToMessage(),
        };
        message.Turns.AddRange(record.Turns.Select(ToMessage));
        return message;
    }

    public static ChatTask ToRecord(this V1.ChatRequest message, string tenant) =>
        new([.. message.Turns.Select(ToRecord)], message.Sampling.ToRecord())
    {
        Tenant = tenant, PinPrefix = message.PinPrefix.ToRecord("pin_prefix"), Attention = message.Attention?.ToRecord(),
    };

    public static V1.TaskAnswer ToMessage(this TaskAnswer record)
    {
        var message = new V1.TaskAnswer
        {
            Text = record.Text, Pictures = AnswerWire.ToMessage(record.Pictures), Finished = AnswerWire.ToMessage(record.Finished),
        };
        message.Ids.AddRange(record.Ids);
        return message;
    }

    public static TaskAnswer ToRecord(this V1.TaskAnswer message) =>
        new(message.Text, [.. message.Ids], AnswerWire.ToRecord(message.Pictures), AnswerWire.ToRecord(message.Finished));

    public static V1.Classification ToMessage(this Classification record)
    {
        var message = new V1.Classification { Ranking = record.Ranking.ToMessage() };
        message.Labels.AddRange(
            record.Labels.Select(label => new V1.ScoredLabel { Label = label.Label, Index = label.Index, Score = label.Score }));
        return message;
    }

    public static Classification ToRecord(this V1.Classification message) =>
        new([.. message.Labels.Select(label => new ScoredLabel(label.Label, label.Index, label.Score))], message.Ranking.ToRecord());

    private static V1.ChatTurn ToMessage(ChatTurn record)
    {
        var message = new V1.ChatTurn { Text = record.Text };
        message.Visuals.AddRange(record.Visuals.Select(FlamingoWire.ToVisual));
        if (record.Reply is { } reply) message.Reply = reply;
        return message;
    }

    private static ChatTurn ToRecord(V1.ChatTurn message, int index) => new(
        [.. message.Visuals.Select((visual, place) => visual.ToRecord($"turns[{index}].visuals[{place}]"))], message.Text,
        message.HasReply ? message.Reply : null);

    private static V1.TaskPrompt ToMessage(TaskPrompt record)
    {
        var message = new V1.TaskPrompt
        {
            Visual = record.Visual.ToVisual(), SupportSet = record.SupportSet?.ToMessage(), PinPrefix = record.PinPrefix.ToMessage(),
        };
        if (record.ZeroShot is { } zeroShot) message.ZeroShot = zeroShot;
        message.Examples.AddRange(record.Examples.Select(example => new V1.TaskExample
        {
            Visual = example.Visual?.ToVisual(), Question = example.Question, Answer = example.Answer,
        }));
        return message;
    }

    private static TaskPrompt ToRecord(V1.TaskPrompt? message, string tenant) => message?.Visual is null
        ? throw FlamingoException.Invalid("prompt.visual", "The prompt has no picture.", "Set picture, picture_id or video.")
        : new(message.Visual.ToRecord("prompt.visual"))
        {
            Tenant = tenant,
            Examples = [.. message.Examples.Select((example, index) =>
                new TaskExample(example.Visual?.ToRecord($"prompt.examples[{index}].visual"), example.Question, example.Answer))],
            SupportSet = message.SupportSet?.ToRecord(),
            ZeroShot = message.HasZeroShot ? message.ZeroShot : null,
            PinPrefix = message.PinPrefix.ToRecord("prompt.pin_prefix"),
        };
}
