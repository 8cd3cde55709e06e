using Flamingo.Abstractions;
using Flamingo.Bench.Measuring;
using Flamingo.Stages;

namespace Flamingo.Bench.Soaking;

/// <summary>One call of the soak test.</summary>
/// <param name="Refusal">The expected error of an invalid request; null for a valid request.</param>
/// <param name="Leaves">Whether the caller may cancel before the answer is complete.</param>
/// <param name="RunAsync">Sends the call and returns once the answer is complete.</param>
public sealed record SoakCall(string Kind, FlamingoErrorKind? Refusal, bool Leaves, Func<IFlamingo, CancellationToken, Task> RunAsync);

/// <summary>
/// Creates the calls of one caller; a seed always gives the same sequence. Half of the pictures are shared by all callers, the other
/// half are new.
/// </summary>
/// <param name="tokens">Number of tokens of each generated answer.</param>
public sealed class SoakCalls(IReadOnlyList<ReadOnlyMemory<byte>> known, NoisePictures pictures, string endOfChunk, string imageToken,
    int tokens, TimeProvider time, int seed)
{
    private static readonly string[] Candidates = [" jano", " pilu", " red circle", " two", " no"];
    private readonly Random _random = new(seed);
    private readonly MixedPrompts _knownPrompts = Prompts(known, pictures, endOfChunk, seed, newPictures: false);
    private readonly MixedPrompts _newPrompts = Prompts(known, pictures, endOfChunk, seed, newPictures: true);

    /// <summary>The number of kinds of calls, so that a warm-up can make one call of each kind.</summary>
    public const int Kinds = 13;

    public SoakCall Next() => Make(_random.Next(Kinds));

    public SoakCall Make(int kind)
    {
        var prompt = (_random.Next(2) == 0 ? _knownPrompts : _newPrompts).Next();
        var greedy = new SamplingParameters { MaxTokens = tokens };
        var sampled = greedy with { Temperature = 1, TopP = 0.9f, Seed = (ulong)_random.Next() };
        return kind switch
        {
            0 => Generate("greedy", new(prompt, greedy)),
            1 => Generate("sampled", new(prompt, sampled)),
            2 => Generate("three samples", new(prompt, sampled with { Samples = 3 })),
            3 => Generate("three beams", new(prompt, greedy with { Beams = 3 })),
            4 => Generate("log-probabilities", new(prompt, greedy with { LogProbabilities = 5, StopStrings = ["circle"] })),
            5 => Generate("attention", new(prompt, greedy) { Attention = new([], []) }),
            6 => Generate("pinned", new(prompt, greedy) { PinPrefix = TimeSpan.FromSeconds(1) }),
            7 =>
                new("rank", null, false, async (flamingo, cancellation) =>
                    Whole((await flamingo.RankAsync(new(prompt, Candidates), cancellation)).Candidates.Count == Candidates.Length)),
            8 => Cancelled(new(prompt, greedy with { MaxTokens = 4 * tokens }), TimeSpan.FromMilliseconds(1 + _random.Next(400))),
            9 => Left(new(prompt, sampled with { Samples = 2 }), after: 1 + _random.Next(tokens)),
            10 => Wrong("wrong sampling", FlamingoErrorKind.InvalidArgument, new(prompt, greedy with { MaxTokens = 0, TopP = 2 })),
            11 => _random.Next(2) == 0
                ? Wrong("a picture that is none", FlamingoErrorKind.InvalidArgument,
                    new([new FlamingoPicture(new byte[64]), .. prompt], greedy))
                : Wrong("a marker in the text", FlamingoErrorKind.InvalidArgument, new([.. prompt, new FlamingoText(imageToken)], greedy)),
            12 =>
                Wrong("an unknown picture", FlamingoErrorKind.NotFound,
                    new([new FlamingoPictureId(new string('0', 64)), .. prompt], greedy)),
            _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "There is no such kind."),
        };
    }

    private static MixedPrompts Prompts(IReadOnlyList<ReadOnlyMemory<byte>> known, NoisePictures pictures, string endOfChunk, int seed,
        bool newPictures)
    {
        var random = new Random(seed);
        return new MixedPrompts(() => newPictures ? pictures.Next() : known[random.Next(known.Count)], endOfChunk, seed);
    }

    private static SoakCall Generate(string kind,
        FlamingoRequest request) => new(kind, null, false, (flamingo, cancellation) => AskAsync(flamingo, request, cancellation));

    private static SoakCall Wrong(string kind, FlamingoErrorKind refusal,
        FlamingoRequest request) => new(kind, refusal, false, (flamingo, cancellation) => AskAsync(flamingo, request, cancellation));

    // The cancellation can hit a request that waits, that is in the vision encoder, or whose answer has begun.
    private SoakCall Cancelled(FlamingoRequest request, TimeSpan after) => new("cancelled", null, true, async (flamingo, cancellation) =>
    {
        using var patience = new CancellationTokenSource(after, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancellation);
        await AskAsync(flamingo, request, either.Token);
    });

    private static SoakCall Left(FlamingoRequest request, int after) => new("left", null, true, async (flamingo, cancellation) =>
    {
        await foreach (var item in flamingo.GenerateAsync(request, cancellation))
            if (item is AnswerTokens && --after == 0) throw new OperationCanceledException();
    });

    private static async Task AskAsync(IFlamingo flamingo, FlamingoRequest request, CancellationToken cancellation)
    {
        var whole = false;
        await foreach (var item in flamingo.GenerateAsync(request, cancellation)) whole = item is AnswerFinished { GeneratedTokens: > 0 };
        Whole(whole);
    }

    private static void Whole(bool whole)
    {
        if (!whole) throw new InvalidOperationException("The answer is not complete.");
    }
}
