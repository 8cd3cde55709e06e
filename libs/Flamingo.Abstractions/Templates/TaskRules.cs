namespace Flamingo.Abstractions.Templates;

/// <summary>Validation rules for tasks, in addition to those of the prompt that a task becomes. Faults are collected, not thrown.</summary>
public static class TaskRules
{
    public static void CheckPrompt(TaskPrompt prompt, TaskTemplate template, FaultList faults)
    {
        if (!PromptRules.CheckMost("prompt.examples", "examples", prompt.Examples.Count, PromptRules.MostSegments, faults)) return;
        foreach (var (index, example) in prompt.Examples.Index())
        {
            if (example.Answer.Length == 0)
                faults.Add(new($"prompt.examples[{index}].answer", "The example has no answer.", "Send at least one character."));
            if (template.HasQuestion && example.Question.Length == 0)
                faults.Add(new($"prompt.examples[{index}].question", "The example has no question.", "Send at least one character."));
            if (!template.HasQuestion && example.Question.Length > 0)
                faults.Add(new($"prompt.examples[{index}].question", "This task has no question.", "Leave it out."));
        }

        CheckSources(template, prompt.Examples.Count > 0, prompt.SupportSet, prompt.ZeroShot, "prompt.", faults);
    }

    /// <summary>Checks that what a prompt begins with fits together.</summary>
    /// <param name="path">Path in the request of the support set and of the choice of zero-shot examples.</param>
    public static void CheckSources(
        TaskTemplate template, bool hasExamples, SupportSetChoice? supportSet, bool? zeroShot, string path, FaultList faults)
    {
        if (supportSet is not null && !template.BeginsWithPicture)
            faults.Add(new(
                $"{path}support_set", "The examples of a support set begin with their picture, and the examples of this model do not.",
                "Send them as examples."));
        if (zeroShot != true) return;
        if (hasExamples || supportSet is not null)
            faults.Add(new($"{path}zero_shot", "The prompt already has examples.", "Leave out zero_shot or the examples."));
        else if (template.Source.ZeroShot.Count == 0)
            faults.Add(new($"{path}zero_shot", "This model has no examples without pictures.", "Leave it out, or send examples."));
    }

    public static void CheckTurns(ChatTask task, TaskTemplate template, FaultList faults)
    {
        if (task.Turns.Count == 0) faults.Add(new("turns", "There is no turn.", "Send at least one."));
        if (!PromptRules.CheckMost("turns", "turns", task.Turns.Count, PromptRules.MostSegments, faults)) return;
        if (!PromptRules.CheckMost(
            "turns", "pictures", task.Turns.Sum(turn => turn.Visuals.Count), PromptRules.MostSegments, faults)) return;
        foreach (var (index, turn) in task.Turns.Index())
        {
            var last = index == task.Turns.Count - 1;
            if (turn.Text.Length == 0 && turn.Visuals.Count == 0)
                faults.Add(new($"turns[{index}].text", "The turn is empty.", "Send text or a picture."));
            if (!last && turn.Reply is null)
                faults.Add(new(
                    $"turns[{index}].reply", "A past turn has no reply.",
                    "Send the model's reply; it may be an empty text."));
            if (last && turn.Reply is not null)
                faults.Add(new(
                    $"turns[{index}].reply", "The last turn already has a reply.",
                    "Leave the reply out, or add the next turn."));
        }

        if (task.Sampling.Beams > 1 && template.Ends.Any())
            faults.Add(new("sampling.beams", "This model's replies end at a text, and a beam search ends only at tokens.", "Send 1."));
    }

    /// <param name="most">Most labels, as the model's description says.</param>
    public static void CheckLabels(ClassifyTask task, int most, FaultList faults)
    {
        if (task.Labels.Count == 0) faults.Add(new("labels", "There is no label.", "Send at least one."));
        if (!PromptRules.CheckMost("labels", "labels", task.Labels.Count, most, faults)) return;
        foreach (var (index, label) in task.Labels.Index().Where(label => label.Item.Length == 0))
            faults.Add(new($"labels[{index}]", "The label is empty.", "Send at least one character."));
        if (task.Labels.Distinct(StringComparer.Ordinal).Count() < task.Labels.Count)
            faults.Add(new("labels", "A label is named twice.", "Send each label once."));
        if (!Enum.IsDefined(task.Scoring)) faults.Add(new("scoring", $"{(int)task.Scoring} is not a known scoring.", "Send MEAN or SUM."));
    }
}
