using Flamingo.Bench.Measuring;

namespace Flamingo.Bench.Figures;

/// <summary>From the call to the first token, embedded. Cold: pictures that were never seen. Warm: the same prompt again.</summary>
public static class TimeToFirstTokenFigures
{
    private static readonly int[] ShotCounts = [0, 2, 4, 8, 16, 32];

    public static IEnumerable<Figure> All =>
    [
        .. ShotCounts.SelectMany(ColdAndWarm),
        Warm32Over0,
        .. NewPicture,
    ];

    /// <summary>A prompt of N shots and a query, N + 1 pictures, asked twice in a row: cold, then warm.</summary>
    private static Figure[] ColdAndWarm(int shots) =>
    [
        new($"ttft_cold_over_warm_{shots}_shots", "ratio", $"cold over warm, {shots} shots and a query", async (bench, cancellation) => (await ColdAndWarmAsync(bench, shots, cancellation)).Ratio(FirstToken)),
        new($"ttft_cold_{shots}_shots", "ms", $"absolute: {shots} shots and a query, pictures new", async (bench, cancellation) => (await ColdAndWarmAsync(bench, shots, cancellation)).FirstMedian(FirstToken)),
        new($"ttft_warm_{shots}_shots", "ms", $"absolute: {shots} shots and a query, the same prompt again", async (bench, cancellation) => (await ColdAndWarmAsync(bench, shots, cancellation)).SecondMedian(FirstToken)),
    ];

    /// <summary>Two warm prompts in turn, one of 32 shots and one of none: does a long prompt cost more than a short one once both are known?</summary>
    private static Figure Warm32Over0 => new("ttft_warm_32_over_0_shots", "ratio", "warm, 32 shots over 0 shots", async (bench, cancellation) =>
    {
        var stack = await bench.EmbeddedAsync(cancellation);
        var (many, none) = (stack.Prompts.New(shots: 32, maxTokens: 1), stack.Prompts.New(shots: 0, maxTokens: 1));
        await stack.AskAsync(many, cancellation);
        await stack.AskAsync(none, cancellation);
        return (await Interleaved.RunAsync(bench.Repetitions, () => stack.AskAsync(many, cancellation), () => stack.AskAsync(none, cancellation))).Ratio(FirstToken);
    });

    /// <summary>Eight new shots and a query cold, then the same shots with another last picture, whose own encoding is the floor.</summary>
    private static Figure[] NewPicture =>
    [
        new("ttft_cold_over_new_picture_8_shots", "ratio", "all 9 pictures new over the same 8 shots with a new last picture", async (bench, cancellation) => (await NewPictureAsync(bench, cancellation)).Ratio(FirstToken)),
        new("ttft_new_picture_8_shots", "ms", "absolute: 8 known shots, a new last picture", async (bench, cancellation) => (await NewPictureAsync(bench, cancellation)).SecondMedian(FirstToken)),
    ];

    private static double FirstToken(TimedAnswer answer) => answer.FirstToken;

    private static Task<Paired<TimedAnswer>> ColdAndWarmAsync(Workbench bench, int shots, CancellationToken cancellation) => bench.OnceAsync($"cold and warm {shots}", async () =>
    {
        var stack = await bench.EmbeddedAsync(cancellation);
        var prompt = stack.Prompts.New(shots, maxTokens: 1);
        return await Interleaved.RunAsync(
            bench.Repetitions,
            () => stack.AskAsync(prompt = stack.Prompts.New(shots, maxTokens: 1), cancellation),
            () => stack.AskAsync(prompt, cancellation));
    });

    private static Task<Paired<TimedAnswer>> NewPictureAsync(Workbench bench, CancellationToken cancellation) => bench.OnceAsync("new picture", async () =>
    {
        var stack = await bench.EmbeddedAsync(cancellation);
        var prompt = stack.Prompts.New(shots: 8, maxTokens: 1);
        return await Interleaved.RunAsync(
            bench.Repetitions,
            () => stack.AskAsync(prompt = stack.Prompts.New(shots: 8, maxTokens: 1), cancellation),
            () => stack.AskAsync(stack.Prompts.WithNewPicture(prompt), cancellation));
    });
}
