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

    /// <param name="file">An animated GIF or WebP. Not copied either.</param>
    /// <param name="maxFrames">Most frames, sampled evenly; 0 is as many as the model takes.</param>
    public Prompt Video(ReadOnlyMemory<byte> file, int maxFrames = 0) => Video([file], maxFrames);

    /// <param name="frames">Encoded files, one per frame, in order. Not copied either.</param>
    /// <inheritdoc cref="Video(ReadOnlyMemory{byte}, int)"/>
    public Prompt Video(IEnumerable<ReadOnlyMemory<byte>> frames, int maxFrames = 0) =>
        Add(new PromptSegment { Video = new VisualInput { Files = { frames.Select(UnsafeByteOperations.UnsafeWrap) }, MaxFrames = maxFrames } });

    /// <param name="id">Of a picture or clip sent before, as an answer returned it or <see cref="Client.PictureId"/> computes it.</param>
    public Prompt PictureId(string id) => Add(new PromptSegment { PictureId = id });

    private Prompt Add(PromptSegment segment)
    {
        _segments.Add(segment);
        return this;
    }
}
