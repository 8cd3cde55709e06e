namespace Flamingo.Abstractions;

/// <summary>
/// An interleaved prompt, built segment by segment in reading order:
/// <c>new Prompt().Picture(dog).Text("This is a dog.&lt;|endofchunk|&gt;").Picture(query).Text("This is")</c>.
/// </summary>
public sealed class Prompt
{
    private readonly List<FlamingoSegment> _segments = [];

    /// <summary>All segments in order; a request accepts 1 to 1024.</summary>
    public IReadOnlyList<FlamingoSegment> Segments => _segments;

    /// <inheritdoc cref="FlamingoText"/>
    public Prompt Text(string text) => Add(new FlamingoText(text));

    /// <param name="file">An encoded file: JPEG, PNG, WebP, GIF or BMP. It is not copied, so it must not change until the answer
    /// has arrived.</param>
    public Prompt Picture(ReadOnlyMemory<byte> file) => Add(new FlamingoPicture(file));

    /// <param name="file">An animated GIF or WebP. It is not copied, so it must not change until the answer has arrived.</param>
    /// <param name="maxFrames">Largest number of frames, sampled evenly; 0 means as many as the model accepts.</param>
    public Prompt Video(ReadOnlyMemory<byte> file, int maxFrames = 0) => Video([file], maxFrames);

    /// <param name="frames">Encoded files, one per frame, in order. They are not copied, so they must not change until the answer
    /// has arrived.</param>
    /// <inheritdoc cref="Video(ReadOnlyMemory{byte}, int)"/>
    public Prompt Video(IEnumerable<ReadOnlyMemory<byte>> frames, int maxFrames = 0) =>
        Add(new FlamingoVideo(new VisualInput([.. frames], maxFrames)));

    /// <param name="id">
    /// Id of a picture or clip that was sent before, as an answer returned it or as <see cref="Abstractions.PictureId"/> computes it.
    /// </param>
    public Prompt PictureId(string id) => Add(new FlamingoPictureId(id));

    private Prompt Add(FlamingoSegment segment)
    {
        _segments.Add(segment);
        return this;
    }
}
