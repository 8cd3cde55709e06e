using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Bench.NewWords;

/// <summary>
/// A support set of invented words and queries for them: <c>retrieval.json</c> and the folder <c>pictures</c>, as in
/// tests/reference/shapes/evaluation.
/// </summary>
public sealed record NewWordData(IReadOnlyList<NewWordData.Example> Support, IReadOnlyList<NewWordData.Query> Queries)
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    public sealed record Example(string Picture, string Text);

    /// <param name="Answer">The exact expected answer.</param>
    public sealed record Query(string Picture, string Prompt, string Answer);

    private string Folder { get; init; } = "";

    /// <exception cref="IOException">The file does not exist or cannot be read.</exception>
    /// <exception cref="JsonException">The file has another format.</exception>
    public static NewWordData Read(string folder)
    {
        var data = JsonSerializer.Deserialize<NewWordData>(File.ReadAllBytes(Path.Combine(folder, "retrieval.json")), Json);
        return data is { Support.Count: > 0, Queries.Count: > 0 } ? data with { Folder = folder }
            : throw new JsonException($"{folder}/retrieval.json has no support or no queries.");
    }

    public FlamingoPicture Picture(string name) => new(File.ReadAllBytes(Path.Combine(Folder, "pictures", name)));
}
