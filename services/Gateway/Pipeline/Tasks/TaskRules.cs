using Flamingo.Stages;

namespace Flamingo.Gateway.Tasks;

/// <summary>What a task must obey beyond the prompt that it becomes; faults are collected, not thrown.</summary>
internal static class TaskRules
{
    public static void CheckPrompt(TaskPrompt prompt, TaskTemplate template, List<FieldFault> faults)
    {
        foreach (var (index, example) in prompt.Examples.Index())
        {
            if (example.Answer.Length == 0) faults.Add(new($"prompt.examples[{index}].answer", "The example has no answer.", "Send at least one character."));
            if (template.Asks && example.Question.Length == 0) faults.Add(new($"prompt.examples[{index}].question", "The example has no question.", "Send at least one character."));
            if (!template.Asks && example.Question.Length > 0) faults.Add(new($"prompt.examples[{index}].question", "This task asks no question.", "Leave it out."));
        }

        if (prompt.SupportSet is not null && !template.BeginsWithPicture)
            faults.Add(new("prompt.support_set", "The examples of a support set begin with their picture, and this model's do not.", "Send them as prompt.examples."));
        if (prompt.ZeroShot != true) return;
        if (prompt.Examples.Count > 0 || prompt.SupportSet is not null) faults.Add(new("prompt.zero_shot", "There are examples already.", "Leave it out, or the examples."));
        else if (template.Source.ZeroShot.Count == 0) faults.Add(new("prompt.zero_shot", "This model brings no examples without pictures.", "Leave it out, or send examples."));
    }

    public static void CheckLabels(ClassifyTask task, List<FieldFault> faults)
    {
        if (task.Labels.Count == 0) faults.Add(new("labels", "There is no label.", "Send at least one."));
        foreach (var (index, label) in task.Labels.Index().Where(label => label.Item.Length == 0)) faults.Add(new($"labels[{index}]", "The label is empty.", "Send at least one character."));
        if (task.Labels.Distinct(StringComparer.Ordinal).Count() < task.Labels.Count) faults.Add(new("labels", "A label is named twice.", "Send each once."));
        if (!Enum.IsDefined(task.Scoring)) faults.Add(new("scoring", $"{(int)task.Scoring} is no scoring.", "Send MEAN or SUM."));
    }
}
