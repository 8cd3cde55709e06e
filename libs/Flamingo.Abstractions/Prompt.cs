namespace Flamingo.Abstractions;

/// <summary>
/// An interleaved prompt, written in the order in which it is read:
/// <c>new Prompt().Picture(dog).Text("This is a dog.&lt;|endofchunk|&gt;").Picture(query).Text("This is")</c>.
/// </summary>
public sealed class Prompt
{
    private readonly List<FlamingoSegment> _segments = [];

    /// <summary>In order; 1 to 1024 when they are sent.</summary>
    public IReadOnlyList<FlamingoSegment> Segments => _segments;

    /// <inheritdoc cref="FlamingoText"/>
    public Prompt Text(string text) => Add(new FlamingoText(text));

    /// <param name="file">An encoded file: JPEG, PNG, WebP, GIF or BMP. Not copied: it stays unchanged until the answer has come.</param>
    public Prompt Picture(ReadOnlyMemory<byte> file) => Add(new FlamingoPicture(file));

    /// <param name="file">An animated GIF or WebP. Not copied either.</param>
    /// <param name="maxFrames">Most frames, sampled evenly; 0 is as many as the model takes.</param>
    public Prompt Video(ReadOnlyMemory<byte> file, int maxFrames = 0) => Video([file], maxFrames);

    /// <param name="frames">Encoded files, one per frame, in order. Not copied either.</param>
    /// <inheritdoc cref="Video(ReadOnlyMemory{byte}, int)"/>
    public Prompt Video(IEnumerable<ReadOnlyMemory<byte>> frames, int maxFrames = 0) =>
        Add(new FlamingoVideo(new VisualInput([.. frames], maxFrames)));

    /// <param name="id">
    /// Of a picture or clip that was sent before, as an answer returned it or <see cref="Abstractions.PictureId"/> computes it.
    /// </param>
    public Prompt PictureId(string id) => Add(new FlamingoPictureId(id));

    private Prompt Add(FlamingoSegment segment)
    {
        _segments.Add(segment);
        return this;
    }
}
