namespace Flamingo.Abstractions;

/// <summary>
/// A conversation, built turn by turn:
/// <c>new Conversation().User("What is this?", picture).Assistant(answer.Text).User("And what color is it?")</c>.
/// </summary>
public sealed class Conversation
{
    private readonly List<ChatTurn> _turns = [];

    /// <summary>All turns in order. If the last turn has no reply, the model answers that turn.</summary>
    public IReadOnlyList<ChatTurn> Turns => _turns;

    /// <param name="words">The user's text; it may be empty if the turn has a picture.</param>
    /// <param name="pictures">
    /// Encoded files (JPEG, PNG, WebP, GIF or BMP) that precede the text. The bytes are not copied, so they must not change while
    /// the conversation is in use.
    /// </param>
    public Conversation User(string words, params IEnumerable<ReadOnlyMemory<byte>> pictures)
    {
        _turns.Add(new ChatTurn([.. pictures.Select(picture => new FlamingoPicture(picture))], words));
        return this;
    }

    /// <param name="reply">The model's reply, unchanged, so that the next request finds its tokens in the prefix cache.</param>
    /// <exception cref="InvalidOperationException">The last turn already has a reply, or there is no turn.</exception>
    public Conversation Assistant(string reply)
    {
        if (_turns is not [.., { Reply: null } turn])
            throw new InvalidOperationException("No user turn is waiting for a reply. Call User first.");
        _turns[^1] = turn with { Reply = reply };
        return this;
    }
}
