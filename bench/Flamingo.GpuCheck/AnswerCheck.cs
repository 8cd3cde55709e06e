using Flamingo.Abstractions;
using Flamingo.Bench.Stacks;
using Flamingo.Fixtures.Reference;
using Flamingo.Stages;

namespace Flamingo.GpuCheck;

/// <summary>Compares the trained model's answers to its evaluation in f32 with the original code's answers.</summary>
internal static class AnswerCheck
{
    private const int AtOnce = 16;

    /// <param name="every">Every n-th answer is compared; 1 compares all answers.</param>
    public static async Task RunAsync(
        string where, Func<Task<EmbeddedStack>> load, ShapesEvaluation evaluation, int every, Report report,
        CancellationToken cancellation)
    {
        await using var stack = await load();
        var (wanted, different) = (evaluation.Golden.Answers.Where((_, index) => index % every == 0).ToList(), 0);
        var options = new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = cancellation };
        await Parallel.ForEachAsync(wanted, options, async (expected, cancellation) =>
        {
            var answer = await AskAsync(stack, evaluation.Segments(expected), new SamplingParameters { MaxTokens = 14 }, cancellation);
            if (answer.Text != expected.Text || !answer.Ids.SequenceEqual(expected.Ids)) Interlocked.Increment(ref different);
        });
        report.Add(new CheckLine(
            $"shapes_answers_that_differ, {where}", different, "answers",
            $"the original's {wanted.Count} answers, f32, word for word, {AtOnce} at once", 0));
    }

    public static async Task<(string Text, List<int> Ids)> AskAsync(
        EmbeddedStack stack, IReadOnlyList<FlamingoSegment> segments, SamplingParameters sampling, CancellationToken cancellation)
    {
        var (text, ids) = ("", new List<int>());
        await foreach (var item in stack.Flamingo.GenerateAsync(new FlamingoRequest(segments, sampling), cancellation))
        {
            if (item is not AnswerTokens tokens) continue;
            text += tokens.Text;
            ids.AddRange(tokens.Ids);
        }

        return (text, ids);
    }
}
