using System.Text;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Client;
using Flamingo.SystemTests.Episodes;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Compose;

/// <summary>An example prompt of the default model and the original code's answer to it.</summary>
internal sealed record ExamplePrompt(IReadOnlyList<(byte[]? Picture, string? Text)> Segments, string Text, IReadOnlyList<int> Ids)
{
    private static int _fresh;

    public static SamplingParameters Greedy => new() { MaxTokens = 14 };

    public IEnumerable<byte[]> Pictures => Segments.Where(segment => segment.Picture is not null).Select(segment => segment.Picture!);

    public static ExamplePrompt Read(string name)
    {
        var folder = RepositoryFiles.Path("models", "shapes", "examples");
        using var json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, $"{name}.json")));
        var segments = json.RootElement.GetProperty("segments").EnumerateArray()
            .Select(segment => segment.TryGetProperty("picture", out var picture)
            ? (Picture: File.ReadAllBytes(Path.Combine(folder, picture.GetString()!)), Text: null)
            : (Picture: (byte[]?)null, Text: segment.GetProperty("text").GetString())).ToList();

        // The matching episode has the same query picture and the same number of examples.
        var pictures = segments.Where(segment => segment.Picture is not null).Select(segment => segment.Picture!).ToList();
        var golden = Episode.Golden.Answers.First(answer => answer.Shots == pictures.Count - 1
            && File.ReadAllBytes(Episode.Evaluation("pictures", Episode.All[answer.Episode].Query.Picture)).AsSpan()
                .SequenceEqual(pictures[^1]));
        return new ExamplePrompt(segments, golden.Text, golden.Ids);
    }

    /// <summary>
    /// Returns files with the same pixels that were not sent before: bytes after the end of a PNG change only its digest.
    /// </summary>
    public ExamplePrompt Fresh() => this with
    {
        Segments = [.. Segments.Select(
            segment =>
                segment.Picture is { } picture
                    ? ([.. picture, .. Encoding.ASCII.GetBytes($"fresh {Interlocked.Increment(ref _fresh)}")], null) : segment)],
    };

    public Prompt ToPrompt()
    {
        var prompt = new Prompt();
        foreach (var (picture, text) in Segments) _ = picture is null ? prompt.Text(text!) : prompt.Picture(picture);
        return prompt;
    }

    /// <summary>Sends the prompt and asserts that the answer equals the original code's.</summary>
    public async Task<IEnumerable<PictureSource>> AskAsync(FlamingoClient client, CancellationToken cancellation)
    {
        var answer = await client.CompleteAsync(ToPrompt(), Greedy, cancellation);
        Assert.Equal(Text, answer.Text);
        Assert.Equal(Ids, answer.Ids);
        return answer.Pictures.Select(picture => picture.Source);
    }
}
