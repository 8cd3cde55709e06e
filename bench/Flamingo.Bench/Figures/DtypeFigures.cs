using Flamingo.Abstractions;
using Flamingo.Bench.Measuring;
using Flamingo.Bench.Stacks;
using Flamingo.Stages;

namespace Flamingo.Bench.Figures;

/// <summary>
/// Measures how bf16 and int8 change answers: two tokens with almost equal logits can change their order when sums are rounded
/// differently. Prompts have noise pictures and get greedy and sampled answers; the model is loaded in each dtype. Answers continue past
/// the model's stop tokens, so that the size of the batch does not change until the last token.
/// </summary>
public static class DtypeFigures
{
    private const int ConcurrentRequests = 61;
    private const int Tokens = 16;

    public static IEnumerable<Figure> All =>
    [
        new("bf16_flips_in_company", "share",
            "tokens that differ between a request alone and among 60 others, bf16, greedy and sampled, 16 tokens each",
            async (bench, cancellation) => (await AnswersAsync(bench, "bfloat16", cancellation)).InBatch.Share) {
                NeedsTrainedWeights = true },
        new("f32_flips_in_company", "share",
            "tokens that differ between a request alone and among 60 others, f32, greedy and sampled, 16 tokens each",
            async (bench, cancellation) => (await AnswersAsync(bench, "float32", cancellation)).InBatch.Share) {
                NeedsTrainedWeights = true },
        new("bf16_flips_against_f32", "share",
            "tokens that differ between all stages in bf16 and all in f32, greedy, alone, 16 tokens each",
            (bench, cancellation) => AgainstF32Async(bench, "bfloat16", "native", cancellation)) { NeedsTrainedWeights = true },
        new("int8_flips_against_f32", "share",
            "tokens that differ between all stages' weights held as int8 and as f32, computed in f32, greedy, alone, 16 tokens each",
            (bench, cancellation) => AgainstF32Async(bench, "float32", "int8", cancellation)) { NeedsTrainedWeights = true },
    ];

    private static async Task<double> AgainstF32Async(Workbench bench, string dtype, string storage, CancellationToken cancellation)
    {
        var (narrow, wide) = (await AnswersAsync(bench, dtype, cancellation, storage), await AnswersAsync(bench, "float32", cancellation));
        var flips = Flips.Between(wide.Greedy, narrow.Greedy);
        await bench.ReportAsync($"  {flips.Flipped} of {flips.Compared} tokens flipped");
        return flips.Share;
    }

    // Pictures and prompts depend only on the seed, so all dtypes get the same prompts.
    private static Task<(IReadOnlyList<int[]> Greedy, Flips InBatch)> AnswersAsync(Workbench bench, string dtype,
        CancellationToken cancellation, string storage = "native") => bench.OnceAsync($"answers in {dtype}, {storage}", async () =>
    {
        await using var stack = await bench.LoadAsync(new Dictionary<string, string?>
        {
            ["Model:Dtype"] = dtype,
            ["Model:WeightStorage"] = storage,
            ["LanguageModel:MaxSequences"] = "64", // the whole batch at once
            ["Gateway:MaxConcurrentRequests"] = "64",
        }, cancellation);
        var prompts = new MixedPrompts(stack.Pictures.Next, stack.Model.Language.EndOfChunkToken, seed: 0);
        var segments = Enumerable.Range(0, bench.ComparedPrompts).Select(_ => prompts.Next()).ToArray();
        FlamingoRequest[] greedy = [.. segments.Select(
            prompt => new FlamingoRequest(prompt, new SamplingParameters { MaxTokens = Tokens }))];
        FlamingoRequest[] all = [.. greedy,
            .. segments.Select((prompt, index) =>
                new FlamingoRequest(prompt, new SamplingParameters { MaxTokens = Tokens, Temperature = 1, Seed = (ulong)index }))];

        var alone = new List<int[]>(all.Length);
        foreach (var request in all) alone.Add(await AskAsync(stack, request, cancellation));

        var (flips, before) = (default(Flips), stack.Engine);
        for (var begin = 0; begin < all.Length; begin += ConcurrentRequests) // the last batch repeats the first requests to be full
        {
            var members = Enumerable.Range(begin, ConcurrentRequests).Select(index => index % all.Length).ToArray();
            var together = await Task.WhenAll(
                members.Select(member => Task.Run(() => AskAsync(stack, all[member], cancellation), cancellation)));
            flips += Flips.Between(members.Select(member => alone[member]), together);
        }

        var (steps, rows) = (stack.Engine.Steps - before.Steps, stack.Engine.ComputedTokens - before.ComputedTokens);
        await bench.ReportAsync($"  {dtype}, {storage}: {flips.Flipped} of {flips.Compared} tokens flipped in company, "
            + $"{(double)rows / steps:0.0} rows a step");
        return ((IReadOnlyList<int[]>)alone[..greedy.Length], flips);
    });

    private static async Task<int[]> AskAsync(EmbeddedStack stack, FlamingoRequest request, CancellationToken cancellation)
    {
        var ids = new List<int>();
        await foreach (var item in stack.Flamingo.GenerateAsync(request, cancellation))
            if (item is AnswerTokens tokens) ids.AddRange(tokens.Ids);
        return [.. ids];
    }
}
