using Flamingo.Abstractions;
using Flamingo.Bench.Measuring;
using Flamingo.Evaluation.Sending;

namespace Flamingo.Bench.Figures;

/// <summary>
/// Answers about many pictures, all at once as <c>flamingo batch</c> sends them, over the same kind of pictures one after another. Of a
/// small model, 150 pictures in each half of a round, with 8 shots each from 64 that are known; of a published geometry, 8 pictures alone
/// and 20 tokens each. With <c>--repetitions 3</c> these are 900 and 48 pictures.
/// </summary>
public static class BulkFigures
{
    private const int Pool = 64, InFlight = 64;

    public static IEnumerable<Figure> All =>
    [
        new("bulk_over_one_by_one", "ratio", "answers per second about new pictures, up to 64 in flight, over one after another",
            async (bench, cancellation) => (await BulkAsync(bench, cancellation)).Pairs.Ratio(rate => rate)),
        new("bulk_answers_per_second", "answers/s", "absolute: in bulk",
            async (bench, cancellation) => (await BulkAsync(bench, cancellation)).Pairs.FirstMedian(rate => rate)),
        new("bulk_encodings_over_pictures", "ratio", "pictures that were encoded over distinct pictures",
            async (bench, cancellation) => (await BulkAsync(bench, cancellation)).Encodings),
    ];

    private static Task<(Paired<double> Pairs, double Encodings)> BulkAsync(Workbench bench, CancellationToken cancellation) =>
        bench.OnceAsync("bulk", async () =>
    {
        var stack = await bench.EmbeddedAsync(cancellation);
        var (each, shots, tokens) = bench.IsSmall ? (150, 8, 14) : (8, 0, 20);
        var (encoded, distinct) = (0L, 0L);
        var pool = shots == 0 ? [] : await PoolAsync();
        var random = new Random(1);
        var pairs = await Interleaved.RunAsync(bench.Repetitions, () => RateAsync(InFlight), () => RateAsync(1));
        await bench.ReportAsync($"{encoded} encodings of {distinct} distinct pictures");
        return (pairs, (double)encoded / distinct);

        async Task<FlamingoPictureId[]> PoolAsync()
        {
            var ids = new List<FlamingoPictureId>();
            foreach (var some in Enumerable.Range(0, Pool).Select(_ => new FlamingoPicture(stack.Pictures.Next())).Chunk(8))
            {
                var known = await stack.Flamingo.EncodeAsync(new FlamingoEncodeRequest(some), cancellation);
                encoded += known.Cache.Encoded;
                ids.AddRange(known.Pictures.Select(picture => new FlamingoPictureId(picture.Id)));
            }

            distinct += Pool;
            return [.. ids];
        }

        async Task<double> RateAsync(int inFlight)
        {
            var requests = Enumerable.Range(0, each).Select(_ => Request()).ToArray();
            distinct += each;
            var sender = new RequestSender(new SendingOptions(inFlight, TimeSpan.FromMinutes(5)), bench.Time);
            var started = bench.Time.GetTimestamp();
            await foreach (var sent in sender.SendAsync(
                requests, (request, inner) => stack.Flamingo.CompleteAsync(request, inner), cancellation))
            {
                if (sent.Failure is { } failure) throw failure;
                encoded += sent.Answer!.Cache.Encoded - sent.Answer.Cache.Waits;
            }

            return each / bench.Time.GetElapsedTime(started).TotalSeconds;
        }

        FlamingoRequest Request()
        {
            var prompt = stack.Prompts.New(0, tokens);
            List<FlamingoSegment> segments = [];
            for (var shot = 0; shot < shots; shot++)
            {
                segments.Add(pool[random.Next(pool.Length)]);
                segments.Add(new FlamingoText($"This is a {(shot % 2 == 0 ? "jano" : "pilu")}{stack.Model.Language.EndOfChunkToken}"));
            }

            return prompt with { Segments = [.. segments, .. prompt.Segments] };
        }
    });
}
