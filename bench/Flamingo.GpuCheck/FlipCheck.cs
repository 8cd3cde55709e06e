using Flamingo.Abstractions;
using Flamingo.Bench.Measuring;
using Flamingo.Bench.Stacks;
using Flamingo.Fixtures.Reference;
using Flamingo.Stages;

namespace Flamingo.GpuCheck;

/// <summary>
/// Measures how often a token changes when prompts run in a batch instead of one by one, and in bf16 instead of f32, on prompts of the
/// trained model's evaluation. A GPU selects kernels by the size of the batch, so its results are not promised to be identical bit for
/// bit; this check measures how often the difference changes a token.
/// </summary>
internal static class FlipCheck
{
    private const int Prompts = 96, Tokens = 14;

    public static async Task RunAsync(
        Func<(string, string)[], Task<EmbeddedStack>> load, ShapesEvaluation evaluation, Report report, CancellationToken cancellation)
    {
        var exact = await AnswersAsync("float32");
        var narrow = await AnswersAsync("bfloat16");
        var flips = Flips.Between(exact.Alone.Take(Prompts), narrow.Alone.Take(Prompts));
        report.Add(new CheckLine(
            "bf16_flips_against_f32", flips.Share, "share",
            $"{flips.Compared} greedy tokens, all stages in bf16 against all in f32, alone"));

        async Task<(List<IReadOnlyList<int>> Alone, Flips InBatch)> AnswersAsync(string dtype)
        {
            await using var stack = await load(
            [
                ("Model:Dtype", dtype),
                ("LanguageModel:MaxSequences", "64"),
                ("LanguageModel:MaxQueued", "256"),
                ("Gateway:MaxConcurrentRequests", "64"),
            ]);
            var answers = evaluation.Golden.Answers;
            var step = answers.Count / Prompts;
            var segments = Enumerable.Range(0, Prompts).Select(index => evaluation.Segments(answers[index * step])).ToList();
            // all prompts greedy, then all prompts sampled
            (IReadOnlyList<FlamingoSegment> Prompt, SamplingParameters Sampling)[] all =
            [
                .. segments.Select(prompt => (prompt, new SamplingParameters { MaxTokens = Tokens })),
                .. segments.Select((prompt, index) =>
                    (prompt, new SamplingParameters { MaxTokens = Tokens, Temperature = 1, Seed = (ulong)index })),
            ];
            var alone = new List<IReadOnlyList<int>>();
            foreach (var (prompt, sampling) in all) alone.Add((await AnswerCheck.AskAsync(stack, prompt, sampling, cancellation)).Ids);
            var together = await Task.WhenAll(all.Select(item => Task.Run(
                async () => (IReadOnlyList<int>)(await AnswerCheck.AskAsync(stack, item.Prompt, item.Sampling, cancellation)).Ids,
                cancellation)));
            var company = Flips.Between(alone, together);
            report.Add(new CheckLine(
                $"{(dtype == "float32" ? "f32" : "bf16")}_flips_in_company", company.Share, "share",
                $"{company.Compared} tokens, greedy and sampled, alone against up to 64 together, {dtype}"));
            return (alone, company);
        }
    }
}
