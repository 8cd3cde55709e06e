using Flamingo.Protos.V1;
using Google.Protobuf;

namespace Flamingo.Client;

/// <summary>
/// An interleaved prompt, written in the order in which it is read:
/// <c>new Prompt().Picture(dog).Text("This is a dog.&lt;|endofchunk|&gt;").Picture(query).Text("This is")</c>.
/// </summary>
public sealed class Prompt
{
    private readonly List<PromptSegment> _segments = [];

    /// <summary>In order; 1 to 1024 when sent.</summary>
    public IReadOnlyList<PromptSegment> Segments => _segments;

    /// <param name="text">Must not hold a picture marker such as <c>&lt;image&gt;</c>; the service places those.</param>
    public Prompt Text(string text) => Add(new PromptSegment { Text = text });

    /// <param name="file">An encoded file: JPEG, PNG, WebP, GIF or BMP. Not copied: leave it unchanged until the answer has come.</param>
    public Prompt Picture(ReadOnlyMemory<byte> file) => Add(new PromptSegment { Picture = UnsafeByteOperations.UnsafeWrap(file) });

    /// <param name="id">Of a picture sent before, as an answer or <see cref="FlamingoClient.EncodeAsync"/> returned it.</param>
    public Prompt PictureId(string id) => Add(new PromptSegment { PictureId = id });

    private Prompt Add(PromptSegment segment)
    {
        _segments.Add(segment);
        return this;
    }
}
