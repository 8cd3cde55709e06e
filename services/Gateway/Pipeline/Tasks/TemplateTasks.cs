using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Abstractions.Templates;

namespace Flamingo.Gateway.Tasks;

/// <summary>Implements the tasks: builds prompts with the checkpoint's templates and sends them to the public service.</summary>
public sealed class TemplateTasks(IFlamingo flamingo) : ITasks
{
    public Task<TaskAnswer> CaptionAsync(CaptionTask task, CancellationToken cancellation) =>
        GenerateAsync("caption", prompts => prompts.Caption, task.Prompt, "", task.Sampling, cancellation);

    public Task<TaskAnswer> AnswerAsync(AnswerTask task, CancellationToken cancellation) =>
        GenerateAsync("answer", prompts => prompts.Answer, task.Prompt, task.Question, task.Sampling, cancellation);

    public async Task<Classification> ClassifyAsync(ClassifyTask task, CancellationToken cancellation)
    {
        var template = await TemplateAsync("classify", prompts => prompts.Classify, cancellation);
        var faults = new FaultList();
        TaskRules.CheckPrompt(task.Prompt, template, faults);
        TaskRules.CheckLabels(task, template.MostAnswers, faults);
        PromptRules.ThrowIfAny(faults);

        var segments = Render(template, task.Prompt, "");
        var ranking = await AskAsync(segments, () => flamingo.RankAsync(
            new FlamingoRankRequest(segments.Segments, [.. task.Labels.Select(template.Answer)])
            {
                Tenant = task.Prompt.Tenant, SupportSet = task.Prompt.SupportSet, Ensemble = task.Ensemble,
                PinPrefix = task.Prompt.PinPrefix,
            }, cancellation));
        var scored = task.Labels.Zip(ranking.Candidates).Select((pair, index) =>
            new ScoredLabel(pair.First, index, task.Scoring == LabelScoring.Sum ? pair.Second.Sum : pair.Second.Mean));
        return new Classification([.. scored.OrderByDescending(label => label.Score)], ranking);
    }

    public async IAsyncEnumerable<AnswerEvent> ChatAsync(ChatTask task, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var template = await TemplateAsync("chat", prompts => prompts.Chat, cancellation, TaskSegments.Turns);
        var faults = new FaultList();
        TaskRules.CheckTurns(task, template, faults);
        PromptRules.ThrowIfAny(faults);

        var (segments, reply) = (new TaskSegments(TaskSegments.Turns), new ReplyText(template.Lead));
        template.AddZeroShot(segments);
        template.AddTurns(segments, task.Turns, (turn, visual) => $"turns[{turn}].visuals[{visual}]");
        var request = new FlamingoRequest(segments.Segments, template.WithEnds(task.Sampling))
        {
            Tenant = task.Tenant, PinPrefix = task.PinPrefix, Attention = task.Attention,
        };
        await using var answer = flamingo.GenerateAsync(request, cancellation).GetAsyncEnumerator(cancellation);
        while (await AskAsync(segments, () => answer.MoveNextAsync().AsTask()))
            yield return answer.Current is AnswerTokens tokens ? reply.TrimLead(tokens) : answer.Current;
    }

    private async Task<TaskAnswer> GenerateAsync(
        string name, Func<PromptTemplates, PromptTemplate?> choose, TaskPrompt prompt, string question, SamplingParameters sampling,
        CancellationToken cancellation)
    {
        var template = await TemplateAsync(name, choose, cancellation);
        var faults = new FaultList();
        TaskRules.CheckPrompt(prompt, template, faults);
        if (template.HasQuestion && question.Length == 0)
            faults.Add(new("question", "The question is empty.", "Send at least one character."));
        if (sampling.Samples != 1)
            faults.Add(new("sampling.samples", $"The request has {sampling.Samples} answers.", "Send 1; a task has one answer."));
        PromptRules.ThrowIfAny(faults);

        var segments = Render(template, prompt, question);
        var request = new FlamingoRequest(segments.Segments, template.WithEnds(sampling))
        {
            Tenant = prompt.Tenant, SupportSet = prompt.SupportSet, PinPrefix = prompt.PinPrefix,
        };
        var answer = await AskAsync(segments, () => flamingo.CompleteAsync(request, cancellation));
        return new TaskAnswer(template.Cut(answer.Text), answer.Ids, answer.Resolved, answer.Finished);
    }

    private async Task<TaskTemplate> TemplateAsync(
        string name, Func<PromptTemplates, PromptTemplate?> choose, CancellationToken cancellation, string field = TaskSegments.Prompt)
    {
        var model = (await flamingo.GetModelAsync(cancellation)).Language;
        return TaskTemplate.Of(model, name, choose(model.Prompts), field);
    }

    // Adds the examples and then the query. The zero-shot prompts of the papers begin with examples that have only text.
    private static TaskSegments Render(TaskTemplate template, TaskPrompt prompt, string question)
    {
        var segments = new TaskSegments(TaskSegments.Prompt);
        if (prompt.ZeroShot ?? (prompt.Examples.Count == 0 && prompt.SupportSet is null)) template.AddZeroShot(segments);
        foreach (var (index, example) in prompt.Examples.Index())
            template.AddExample(segments, example, $"prompt.examples[{index}].visual");
        template.AddQuery(segments, [(prompt.Visual, "prompt.visual")], question);
        return segments;
    }

    private static async Task<T> AskAsync<T>(TaskSegments segments, Func<Task<T>> ask)
    {
        try
        {
            return await ask();
        }
        catch (FlamingoException refusal) when (refusal.Kind == FlamingoErrorKind.InvalidArgument)
        {
            throw segments.Translate(refusal);
        }
    }
}
