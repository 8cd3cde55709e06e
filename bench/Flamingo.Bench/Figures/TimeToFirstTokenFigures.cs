using Flamingo.Bench.Measuring;

namespace Flamingo.Bench.Figures;

/// <summary>
/// Time from the call to the first token, with all stages in one process. A cold prompt has new pictures; a warm prompt repeats a prompt.
/// </summary>
public static class TimeToFirstTokenFigures
{
    private static readonly int[] ShotCounts = [0, 2, 4, 8, 16, 32];

    public static IEnumerable<Figure> All =>
    [
        .. ShotCounts.SelectMany(ColdAndWarm),
        Warm32Over0,
        .. NewPicture,
    ];

    /// <summary>A prompt of N shots and a query (N + 1 pictures), sent twice in a row: first cold, then warm.</summary>
    private static Figure[] ColdAndWarm(int shots) =>
    [
        new($"ttft_cold_over_warm_{shots}_shots", "ratio", $"cold over warm, {shots} shots and a query",
            async (bench, cancellation) => (await ColdAndWarmAsync(bench, shots, cancellation)).Ratio(FirstToken)),
        new($"ttft_cold_{shots}_shots", "ms", $"absolute: {shots} shots and a query, pictures new",
            async (bench, cancellation) => (await ColdAndWarmAsync(bench, shots, cancellation)).FirstMedian(FirstToken)),
        new($"ttft_warm_{shots}_shots", "ms", $"absolute: {shots} shots and a query, the same prompt again",
            async (bench, cancellation) => (await ColdAndWarmAsync(bench, shots, cancellation)).SecondMedian(FirstToken)),
    ];

    /// <summary>
    /// A warm prompt of 32 shots and a warm prompt without shots in alternation: the cost of a long prompt that is cached.
    /// </summary>
    private static Figure Warm32Over0 =>
        new("ttft_warm_32_over_0_shots", "ratio", "warm, 32 shots over 0 shots", async (bench, cancellation) =>
    {
        var stack = await bench.EmbeddedAsync(cancellation);
        var (many, none) = (stack.Prompts.New(shots: 32, maxTokens: 1), stack.Prompts.New(shots: 0, maxTokens: 1));
        await stack.AskAsync(many, cancellation);
        await stack.AskAsync(none, cancellation);
        return (await Interleaved.RunAsync(bench.Repetitions, () => stack.AskAsync(many, cancellation),
            () => stack.AskAsync(none, cancellation))).Ratio(FirstToken);
    });

    /// <summary>
    /// A cold prompt of eight shots and a query, then the same shots with a new last picture, whose encoding is the lower bound
    /// of the time.
    /// </summary>
    private static Figure[] NewPicture =>
    [
        new("ttft_cold_over_new_picture_8_shots", "ratio", "all 9 pictures new over the same 8 shots with a new last picture",
            async (bench, cancellation) => (await NewPictureAsync(bench, cancellation)).Ratio(FirstToken)),
        new("ttft_new_picture_8_shots", "ms", "absolute: 8 known shots, a new last picture",
            async (bench, cancellation) => (await NewPictureAsync(bench, cancellation)).SecondMedian(FirstToken)),
    ];

    private static double FirstToken(TimedAnswer answer) => answer.FirstToken;

    private static Task<Paired<TimedAnswer>> ColdAndWarmAsync(Workbench bench, int shots,
        CancellationToken cancellation) => bench.OnceAsync($"cold and warm {shots}", async () =>
    {
        var stack = await bench.EmbeddedAsync(cancellation);
        var prompt = stack.Prompts.New(shots, maxTokens: 1);
        return await Interleaved.RunAsync(
            bench.Repetitions,
            () => stack.AskAsync(prompt = stack.Prompts.New(shots, maxTokens: 1), cancellation),
            () => stack.AskAsync(prompt, cancellation));
    });

    private static Task<Paired<TimedAnswer>> NewPictureAsync(Workbench bench,
        CancellationToken cancellation) => bench.OnceAsync("new picture", async () =>
    {
        var stack = await bench.EmbeddedAsync(cancellation);
        var prompt = stack.Prompts.New(shots: 8, maxTokens: 1);
        return await Interleaved.RunAsync(
            bench.Repetitions,
            () => stack.AskAsync(prompt = stack.Prompts.New(shots: 8, maxTokens: 1), cancellation),
            () => stack.AskAsync(stack.Prompts.WithNewPicture(prompt), cancellation));
    });
}
