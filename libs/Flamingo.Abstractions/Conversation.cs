namespace Flamingo.Abstractions;

/// <summary>
/// A conversation, written in the order in which it is held:
/// <c>new Conversation().User("What is this?", picture).Assistant(answer.Text).User("And what color is it?")</c>.
/// </summary>
public sealed class Conversation
{
    private readonly List<ChatTurn> _turns = [];

    /// <summary>In order; the last one is to be answered where it has no reply.</summary>
    public IReadOnlyList<ChatTurn> Turns => _turns;

    /// <param name="words">May be empty beside a picture.</param>
    /// <param name="pictures">
    /// Encoded files, which go before the words: JPEG, PNG, WebP, GIF or BMP. Not copied: they stay unchanged while the
    /// conversation lasts.
    /// </param>
    public Conversation User(string words, params IEnumerable<ReadOnlyMemory<byte>> pictures)
    {
        _turns.Add(new ChatTurn([.. pictures.Select(picture => new FlamingoPicture(picture))], words));
        return this;
    }

    /// <param name="reply">What the model said, unchanged, so that its tokens are found in the cache.</param>
    /// <exception cref="InvalidOperationException">No turn of the user's waits for a reply.</exception>
    public Conversation Assistant(string reply)
    {
        if (_turns is not [.., { Reply: null } turn])
            throw new InvalidOperationException("No turn of the user's waits for a reply. Call User first.");
        _turns[^1] = turn with { Reply = reply };
        return this;
    }
}
