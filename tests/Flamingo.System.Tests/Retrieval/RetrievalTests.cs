using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Fixtures.Reference;
using Flamingo.Stages;
using Flamingo.SystemTests.Embedded;
using Flamingo.SystemTests.Episodes;

namespace Flamingo.SystemTests.Retrieval;

/// <summary>
/// Sixteen new words, a support set of 64, 48 queries: RICES through the public API against the original's order and accuracy.
/// </summary>
public sealed class RetrievalTests(ITestOutputHelper output)
{
    [Fact(Timeout = 300_000)]
    public async Task Order_and_accuracy_are_the_originals()
    {
        var (data, golden, cancellation) = (RetrievalData.Read(), Episode.Golden, TestContext.Current.CancellationToken);
        await using var embedded = await EmbeddedFlamingo.StartAsync();
        var set = await embedded.SupportSets.PutAsync(new PutSupportSet("new-words", data.Examples), cancellation);
        Assert.Equal(64, set.ExampleCount);

        foreach (var shots in new[] { 4, 8 })
        {
            var right = 0;
            foreach (var (place, query) in data.Queries.Index())
            {
                var request = new FlamingoRequest([Episode.Picture(query.Picture), new FlamingoText(query.Prompt)],
                    new SamplingParameters { MaxTokens = 14 })
                {
                    SupportSet = new SupportSetChoice("new-words", ShotSelection.Rices, shots),
                };
                var (text, chosen) = await AskAsync(embedded.Flamingo, request, cancellation);
                Same(data, golden.RicesOrder[place].Take(shots).Reverse(), chosen, place);
                right += text == query.Answer ? 1 : 0;
            }

            output.WriteLine($"{shots} shots by RICES: {(double)right / data.Queries.Count:0.000}, the original "
                + $"{golden.Retrieval[$"rices {shots}"]:0.000}");
            Assert.Equal(golden.Retrieval[$"rices {shots}"], (double)right / data.Queries.Count, 0.0005);
        }
    }

    // The set holds some pictures twice, and the order of equal pictures is undefined, so pictures are compared and not indices.
    private static void Same(RetrievalData data, IEnumerable<int> expected, IReadOnlyList<int> chosen, int query) =>
        Assert.True(expected.Select(place => data.Support[place].Picture)
            .SequenceEqual(chosen.Select(place =>
                data.Support[place].Picture)), $"query {query}: [{string.Join(' ', chosen)}], the original [{string.Join(' ', expected)}]");

    private static async Task<(string Text, IReadOnlyList<int> Chosen)> AskAsync(IFlamingo flamingo, FlamingoRequest request,
        CancellationToken cancellation)
    {
        var (text, chosen) = ("", (IReadOnlyList<int>)[]);
        await foreach (var item in flamingo.GenerateAsync(request, cancellation))
        {
            if (item is PicturesResolved resolved) chosen = resolved.Shots!.Examples;
            if (item is AnswerTokens tokens) text += tokens.Text;
        }

        return (text, chosen);
    }
}

/// <summary>tests/reference/shapes/evaluation/retrieval.json.</summary>
internal sealed record RetrievalData(IReadOnlyList<string> Candidates, IReadOnlyList<RetrievalData.Example> Support,
    IReadOnlyList<RetrievalData.Query> Queries)
{
    public sealed record Example(string Picture, string Text);

    public sealed record Query(string Picture, string Prompt, string Answer);

    public IReadOnlyList<SupportExample> Examples =>
        [.. Support.Select(example => new SupportExample(Episode.Picture(example.Picture), example.Text))];

    public static RetrievalData Read() =>
        JsonSerializer.Deserialize<RetrievalData>(File.ReadAllText(Episode.Evaluation("retrieval.json")), ShapesEvaluation.Json)!;
}
