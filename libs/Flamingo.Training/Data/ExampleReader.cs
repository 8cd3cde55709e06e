using System.Text.Json;

namespace Flamingo.Training.Data;

/// <summary>What a line of a JSONL file consists of.</summary>
/// <param name="Parts">Texts and pictures, in order.</param>
/// <param name="Pictures">Paths of the pictures, with what the line says about each.</param>
internal sealed record ExampleContent(IReadOnlyList<SequencePart> Parts, IReadOnlyList<(string Path, string? Description)> Pictures);

/// <summary>
/// Reads a line of a JSONL file: <c>{"segments": [{"picture": path, "description"?: text} | {"text": text, "loss"?: false}, …]}</c>. Paths
/// are relative to the file's folder. Other members of the line are ignored; unknown members of a segment are errors.
/// </summary>
internal static class ExampleReader
{
    /// <exception cref="SampleException">The line is broken, or has no pictures.</exception>
    public static ExampleContent Read(ExampleSample sample)
    {
        using var document = DocumentReader.Parse(sample.Json);
        if (document.RootElement.ValueKind != JsonValueKind.Object || !document.RootElement.TryGetProperty("segments", out var segments)
            || segments.ValueKind != JsonValueKind.Array)
            throw new SampleException(BrokenKind.BadJson, "the line is no object with a list 'segments'.");
        var (parts, pictures) = (new List<SequencePart>(), new List<(string, string?)>());
        foreach (var (index, segment) in segments.EnumerateArray().Index())
        {
            if (segment.ValueKind != JsonValueKind.Object) throw Bad(index, "is no object");
            var (picture, text, description, loss) = ((string?)null, (string?)null, (string?)null, (bool?)null);
            foreach (var member in segment.EnumerateObject())
            {
                switch (member.Name, member.Value.ValueKind)
                {
                    case ("picture", JsonValueKind.String): picture = member.Value.GetString(); break;
                    case ("text", JsonValueKind.String): text = member.Value.GetString(); break;
                    case ("description", JsonValueKind.String): description = member.Value.GetString(); break;
                    case ("description", JsonValueKind.Null): break;
                    case ("loss", JsonValueKind.True or JsonValueKind.False): loss = member.Value.GetBoolean(); break;
                    case ("picture" or "text" or "description", _): throw Bad(index, $"has a '{member.Name}' that is no text");
                    case ("loss", _): throw Bad(index, "has a 'loss' that is neither true nor false");
                    default: throw Bad(index, $"has the unknown member '{member.Name}'; known are picture, description, text and loss");
                }
            }

            if (picture is null == text is null) throw Bad(index, "must have either 'picture' or 'text'");
            if (text is not null && description is not null) throw Bad(index, "has a 'description', which only a picture may have");
            if (picture is not null && loss is not null) throw Bad(index, "has a 'loss', which only a text may have");
            parts.Add(text is null ? SequencePart.Picture : new SequencePart(text, loss ?? true));
            if (picture is not null) pictures.Add((Path.Combine(sample.Folder, picture), description));
        }

        return pictures.Count > 0 ? new ExampleContent(parts, pictures)
            : throw new SampleException(BrokenKind.NoPictures, "the line has no picture, so the bridge can learn nothing from it.");
    }

    /// <exception cref="SampleException">The file is missing, empty or too large.</exception>
    public static byte[] Picture(string path, DataOptions options)
    {
        try
        {
            // The length of a pipe or a device is 0, so such a file is never opened.
            var file = new FileInfo(path);
            if (file.Exists && file.ResolveLinkTarget(returnFinalTarget: true) is FileInfo target) file = target;
            if (!file.Exists) throw new SampleException(BrokenKind.NoPictureFile, $"{path} is missing.");
            if (file.Length == 0) throw new SampleException(BrokenKind.NoPictureFile, $"{path} is empty.");
            if (file.Length > options.MaxEntryBytes)
                throw new SampleException(BrokenKind.NoPictureFile, $"{path} has {file.Length} bytes, more than {options.MaxEntryBytes}.");
            return File.ReadAllBytes(file.FullName);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new SampleException(BrokenKind.NoPictureFile, $"{path} cannot be read: {exception.Message}");
        }
    }

    private static SampleException Bad(int index, string problem) => new(BrokenKind.BadJson, $"segments[{index}] {problem}.");
}
