// Asks many questions about many pictures: a file of questions in, a file of answers out, in the same order.
using System.Diagnostics;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Threading.Channels;
using Flamingo.Abstractions;
using Flamingo.Client;

if (args is not [var address, var questionsFile, var answersFile]) throw new ArgumentException("Give ADDRESS QUESTIONS ANSWERS.");

// How many questions are under way at once. The service computes them together, which is faster than one after the other.
const int InFlight = 16;

using var flamingo = new FlamingoClient(address);
var folder = Path.GetDirectoryName(questionsFile)!;
var json = new JsonSerializerOptions(JsonSerializerDefaults.Web)
{
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
};

// The shots show the model how short an answer shall be. Their pictures are sent here, once. From now on the client sends the ids
// under which the service holds them, wherever the same bytes stand in a prompt. What the service has lost it sends again.
byte[] Picture(string name) => File.ReadAllBytes(Path.Combine(folder, "../pictures", name));
(byte[] Picture, string Text)[] shots =
[
    (Picture("red-square-1.png"), "Question:what color is the square? Short answer:red<|endofchunk|>"),
    (Picture("white-star-2.png"), "Question:what size is the star? Short answer:small<|endofchunk|>"),
];
var encoding = await flamingo.EncodeAsync(shots.Select(shot => (ReadOnlyMemory<byte>)shot.Picture));

async Task<Result> AskAsync(int number, string text)
{
    try
    {
        var line = JsonSerializer.Deserialize<Line>(text, json)!;
        var prompt = new Prompt();
        foreach (var shot in shots) prompt.Picture(shot.Picture).Text(shot.Text);
        prompt.Picture(await File.ReadAllBytesAsync(Path.Combine(folder, line.Picture)));
        prompt.Text($"Question:{line.Question} Short answer:");
        var answer = await flamingo.CompleteAsync(prompt, new SamplingParameters { MaxTokens = 14 });
        return new Result(number, answer.Text, null) { Cache = answer.Cache };
    }
    catch (Exception error) when (error is FlamingoException or IOException or JsonException)
    {
        return new Result(number, null, error.Message); // one bad line does not stop the others
    }
}

// The channel holds the questions that have been sent, in the order of the file. Writing waits while it is full, so no more than
// InFlight questions are under way, and neither file is ever held in memory as a whole.
var sent = Channel.CreateBounded<Task<Result>>(InFlight - 1);
var sending = Task.Run(async () =>
{
    try
    {
        var number = 0;
        await foreach (var text in File.ReadLinesAsync(questionsFile)) await sent.Writer.WriteAsync(AskAsync(++number, text));
    }
    finally
    {
        sent.Writer.Complete();
    }
});

// A picture that two questions ask about at the same time is encoded once: the second question waits for it.
var (lines, errors, encoded, reused) = (0, 0, encoding.Cache.Encoded, encoding.Cache.MemoryHits + encoding.Cache.RedisHits);
var clock = Stopwatch.StartNew();
await using var answers = new StreamWriter(answersFile);
await foreach (var task in sent.Reader.ReadAllAsync())
{
    var result = await task;
    await answers.WriteLineAsync(JsonSerializer.Serialize(result, json));
    errors += result.Error is null ? 0 : 1;
    encoded += result.Cache.Encoded - result.Cache.Waits;
    reused += result.Cache.MemoryHits + result.Cache.RedisHits + result.Cache.Waits;
    if (++lines % 50 == 0) Console.WriteLine($"{lines} lines, {lines / clock.Elapsed.TotalSeconds:0} a second");
}

await sending;
Console.WriteLine($"{lines} lines, {errors} errors. Pictures encoded: {encoded}, and taken from the cache: {reused}.");

internal sealed record Line(string Picture, string Question);

internal sealed record Result([property: JsonPropertyName("line")] int Number, string? Answer, string? Error)
{
    [JsonIgnore]
    public CacheUse Cache { get; init; } = CacheUse.None;
}
