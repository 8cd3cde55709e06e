// Classifies pictures with examples that live on the server, and shows which of them were drawn for each picture.
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Client;

using var flamingo = new FlamingoClient(args is [var address] ? address : "http://localhost:8080");

const string Folder = "samples/classifier", Name = "sample-words";
const int Shots = 4;

var json = JsonSerializerOptions.Web;
List<T> Read<T>(string file) =>
    [.. File.ReadLines(Path.Combine(Folder, file)).Select(line => JsonSerializer.Deserialize<T>(line, json)!)];
byte[] Picture(string path) => File.ReadAllBytes(Path.Combine(Folder, path));

// 48 examples: twelve new words, each with four pictures. They are sent and encoded once. Whoever uses the set names it, and sends
// nothing but the picture to classify. The set is deleted below; an hour later it would go by itself.
var examples = Read<Example>("support.jsonl");
var set = await flamingo.SupportSets.PutAsync(
    Name, examples.Select(example => ((ReadOnlyMemory<byte>)Picture(example.Picture), example.Text)), TimeSpan.FromHours(1));
Console.WriteLine($"The set '{set.Name}' holds {set.ExampleCount} examples.");

try
{
    string[] words = [.. examples.Select(example => example.Text["This is a ".Length..]).Distinct()];
    var queries = Read<Query>("queries.jsonl");
    foreach (var selection in new[] { ShotSelection.Random, ShotSelection.Rices }) // by chance first, for comparison
    {
        var right = 0;
        foreach (var (number, query) in queries.Index())
        {
            // The answer is the word that is likeliest after the drawn shots, the picture and "This is a".
            var request = new FlamingoRankRequest(
                [new FlamingoPicture(Picture(query.Picture)), new FlamingoText("This is a")], [.. words.Select(word => " " + word)])
            {
                SupportSet = new SupportSetChoice(Name, selection, Shots, Seed: 100 + (ulong)number),
            };
            var ranking = await flamingo.RankAsync(request);
            var answer = ranking.Candidates.MaxBy(candidate => candidate.Sum)!.Text.Trim();
            right += answer == query.Word ? 1 : 0;

            // Shots.Examples are indices of the set, in the order of the prompt: RICES puts the most similar example last.
            if (selection != ShotSelection.Rices) continue;
            var drawn = ranking.Shots!.Examples.Select(index => Path.GetFileNameWithoutExtension(examples[index].Picture));
            Console.WriteLine($"  {Path.GetFileName(query.Picture)} after {string.Join(", ", drawn)}: {answer}");
        }

        Console.WriteLine($"{selection}: {right} of {queries.Count} are right, {100.0 * right / queries.Count:0} %.");
    }
}
finally
{
    await flamingo.SupportSets.DeleteAsync(Name);
}

Console.WriteLine("The set is deleted.");

internal sealed record Example(string Picture, string Text);

internal sealed record Query(string Picture, string Word);
