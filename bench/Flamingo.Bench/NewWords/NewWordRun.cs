using Flamingo.Abstractions;
using Flamingo.Bench.Stacks;
using Flamingo.Checkpoints;
using Flamingo.Stages;

namespace Flamingo.Bench.NewWords;

/// <summary>The accuracies for one number of shots.</summary>
/// <param name="Random">Mean accuracy over the random draws.</param>
public sealed record NewWordAccuracy(int Shots, double Random, double Rices);

/// <summary>
/// Measures how often the model names a new word correctly after examples from a support set, which are drawn at random or are nearest
/// to the query (RICES). Answers are greedy and must match exactly.
/// </summary>
public static class NewWordRun
{
    public const string SetName = "new-words";
    private const int MaxTokens = 14;

    /// <summary>The numbers of shots in the paper's figures.</summary>
    public static IReadOnlyList<int> Shots { get; } = [0, 1, 2, 4, 8];

    /// <param name="draws">Number of random draws for each query.</param>
    public static async Task<IReadOnlyList<NewWordAccuracy>> RunAsync(BenchRequest request, NewWordData data, int draws,
        TextWriter progress, TimeProvider time, CancellationToken cancellation)
    {
        // The workbench's stack cannot be used, because its model has no stop token.
        await using var stack = await EmbeddedStack.LoadAsync(ModelDirectory.Open(request.Model), request, time, cancellation);
        await progress.WriteLineAsync($"encoding {data.Support.Count} examples …");
        await stack.SupportSets.PutAsync(
            new PutSupportSet(SetName, [.. data.Support.Select(
                example => new SupportExample(data.Picture(example.Picture), example.Text))]), cancellation);

        var accuracies = new List<NewWordAccuracy>();
        foreach (var shots in Shots)
        {
            await progress.WriteLineAsync($"{data.Queries.Count} queries with {shots} shots …");
            var (random, rices) = (0, 0);
            foreach (var (place, query) in data.Queries.Index())
            {
                if (shots > 0) rices += await IsRightAsync(new SupportSetChoice(SetName, ShotSelection.Rices, shots)) ? 1 : 0;
                for (var draw = 0; draw < draws; draw++)
                    random += await IsRightAsync(shots == 0 ? null
                        : new SupportSetChoice(SetName, ShotSelection.Random, shots,
                            (ulong)((((request.Seed * draws) + draw) * data.Queries.Count) + place))) ? 1 : 0;

                async Task<bool> IsRightAsync(SupportSetChoice? choice)
                {
                    var text = "";
                    await foreach (var item in stack.Flamingo.GenerateAsync(
                        new FlamingoRequest([data.Picture(query.Picture), new FlamingoText(query.Prompt)],
                            new SamplingParameters { MaxTokens = MaxTokens }) { SupportSet = choice }, cancellation))
                        if (item is AnswerTokens tokens) text += tokens.Text;
                    return text == query.Answer;
                }
            }

            var chance = (double)random / (draws * data.Queries.Count);
            accuracies.Add(new NewWordAccuracy(shots, chance, shots == 0 ? chance : (double)rices / data.Queries.Count));
        }

        return accuracies;
    }

    /// <summary>Returns two lines of the report per number of shots.</summary>
    public static IEnumerable<Measurement> Measurements(
        IEnumerable<NewWordAccuracy> accuracies) => accuracies.SelectMany(row => new Measurement[]
    {
        new($"new_word_accuracy_random_{row.Shots}_shots", row.Random, "share",
            "queries answered exactly, shots drawn from the support set at random"),
        new($"new_word_accuracy_rices_{row.Shots}_shots", row.Rices, "share",
            "queries answered exactly, shots nearest to the query (RICES)"),
    });
}
