using System.Net.Http.Json;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Bench.Measuring;
using Flamingo.Client;
using Flamingo.Fixtures.Attacks;

namespace Flamingo.Bench.Figures;

/// <summary>
/// Sends the same prompts, with pictures by id, to the gRPC port and, as OpenAI's completions, to the HTTP port of one
/// <c>flamingo serve</c>, in alternation.
/// </summary>
public static class HttpFigures
{
    private const int Shots = 8;

    public static IEnumerable<Figure> All =>
    [
        new("http_over_grpc_first_token", "ratio",
            "first token through OpenAI's API over HTTP over first token through gRPC, warm, 8 shots",
            async (bench, cancellation) => (await MeasureAsync(bench, cancellation)).FirstTokens.Ratio(seconds => seconds)),
        new("http_known_picture_cost", "ms", "a picture by id and one token through HTTP minus the same through gRPC, medians",
            async (bench, cancellation) =>
            {
                var known = (await MeasureAsync(bench, cancellation)).Known;
                // HTTP may be the faster one by chance; figures are not negative.
                return Math.Max(0, 1000 * (known.FirstMedian(seconds => seconds) - known.SecondMedian(seconds => seconds)));
            }),
    ];

    private static Task<(Paired<double> FirstTokens, Paired<double> Known)> MeasureAsync(
        Workbench bench, CancellationToken cancellation) => bench.OnceAsync("http", async () =>
    {
        var stack = await bench.EmbeddedAsync(cancellation);
        await using var server = await AttackServer.StartAsync(stack.Directory.Path, [], cancellation);
        using var http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{server.HttpPort}") };
        using var grpc = new FlamingoClient($"http://127.0.0.1:{server.Target.Port}");
        var encoded = await grpc.EncodeAsync(
            new FlamingoEncodeRequest([.. Enumerable.Range(0, Shots + 1).Select(_ => new FlamingoPicture(stack.Pictures.Next()))]),
                cancellation);
        string[] ids = [.. encoded.Pictures.Select(picture => picture.Id)];

        // Rounds that are not counted, until the JIT has optimized the code on both ways.
        for (var round = 0; round < 30; round++) await OnceAsync(ids, 4, round % 2 == 0);
        var firstTokens = await Interleaved.RunAsync(
            4 * bench.Repetitions, () => OnceAsync(ids, 4, overHttp: true), () => OnceAsync(ids, 4, overHttp: false));
        var known = await Interleaved.RunAsync(
            4 * bench.Repetitions, () => OnceAsync(ids[..1], 1, overHttp: true), () => OnceAsync(ids[..1], 1, overHttp: false));
        return (firstTokens, known);

        // Seconds until the first token.
        async Task<double> OnceAsync(string[] pictures, int tokens, bool overHttp)
        {
            var started = bench.Time.GetTimestamp();
            if (overHttp) await ReadHttpAsync(http, stack.Model.Language, pictures, tokens, cancellation);
            else await ReadGrpcAsync(grpc, stack.Model.Language, pictures, tokens, cancellation);
            return bench.Time.GetElapsedTime(started).TotalSeconds;
        }
    });

    private static string TextOf(int shot, LanguageModelDescription language) =>
        $"This is a {(shot % 2 == 0 ? "jano" : "pilu")}{language.EndOfChunkToken}";

    private static async Task ReadGrpcAsync(
        FlamingoClient grpc, LanguageModelDescription language, string[] pictures, int tokens, CancellationToken cancellation)
    {
        List<FlamingoSegment> segments = [];
        foreach (var (shot, id) in pictures.Index())
            segments.AddRange([new FlamingoPictureId(id),
                new FlamingoText(shot < pictures.Length - 1 ? TextOf(shot, language) : "This is a")]);
        await foreach (var item in grpc.GenerateAsync(
            new FlamingoRequest(segments, new SamplingParameters { MaxTokens = tokens, Temperature = 0 }), cancellation))
            if (item is AnswerTokens) return;
        throw new InvalidOperationException("The answer over gRPC has no token.");
    }

    private static async Task ReadHttpAsync(
        HttpClient http, LanguageModelDescription language, string[] pictures, int tokens, CancellationToken cancellation)
    {
        var prompt = string.Concat(pictures.Select((_, shot) =>
            language.ImageToken + (shot < pictures.Length - 1 ? TextOf(shot, language) : "This is a")));
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions")
        {
            Content = JsonContent.Create(new
            {
                prompt, images = pictures.Select(id => $"flamingo:{id}"), max_tokens = tokens, temperature = 0, stream = true,
            }),
        };
        using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
        using var reader = new StreamReader(await answer.Content.ReadAsStreamAsync(cancellation));
        while (await reader.ReadLineAsync(cancellation) is { } line)
        {
            if (!answer.IsSuccessStatusCode) throw new InvalidOperationException($"The answer over HTTP failed: {line}");
            if (!line.StartsWith("data: {", StringComparison.Ordinal)) continue;
            using var chunk = JsonDocument.Parse(line[6..]);
            if (chunk.RootElement.GetProperty("choices").GetArrayLength() > 0) return;
        }

        throw new InvalidOperationException("The answer over HTTP has no token.");
    }
}
