// Teaches a model two new words by examples, and shows how sure of them it becomes as it sees more of them.
using Flamingo.Abstractions;
using Flamingo.Client;

using var flamingo = new FlamingoClient(args is [var address] ? address : "http://localhost:8080");

byte[] Picture(string name) => File.ReadAllBytes($"samples/pictures/{name}.png");

// The shots. A jano is a hexagon and a pilu is a circle, but nobody tells the model: it sees pictures, and the word for each.
(string Picture, string Word)[] shots =
[
    ("white-hexagon-1", "jano"), ("blue-circle-1", "pilu"), ("green-hexagon-1", "jano"), ("yellow-circle-1", "pilu"),
    ("white-hexagon-2", "jano"), ("blue-circle-2", "pilu"), ("green-hexagon-2", "jano"), ("yellow-circle-2", "pilu"),
];

// The pictures to name. No shot shows a white circle. The only white things among the shots are janos.
string[] queries = ["green-hexagon-5", "blue-circle-5", "white-circle-1"];

// A prompt is a number of shots and then the query. The model continues it in the manner of the shots.
Prompt Ask(string query, int count)
{
    var prompt = new Prompt();
    foreach (var (picture, word) in shots.Take(count)) prompt.Picture(Picture(picture)).Text($"This is a {word}<|endofchunk|>");
    return prompt.Picture(Picture(query)).Text("This is a");
}

foreach (var query in queries)
{
    Console.WriteLine($"{query}:");
    foreach (var count in new[] { 0, 1, 2, 4, 8 })
    {
        // What the model says by itself ...
        var answer = await flamingo.CompleteAsync(Ask(query, count), new SamplingParameters { MaxTokens = 14 });

        // ... and how likely each of the two words is after the same prompt. A log-probability of 0 is certainty, one of -5 is 1 in 150.
        var ranking = await flamingo.RankAsync(Ask(query, count), [" jano", " pilu"]);
        var scores = ranking.Candidates.Select(candidate => $"{candidate.Text.Trim()} {candidate.Sum,5:0.0}");
        Console.WriteLine($"  shots: {count}   {string.Join("   ", scores)}   This is a{answer.Text}");
    }
}
