using Flamingo.Protos.V1;
using Google.Protobuf;

namespace Flamingo.Client;

/// <summary>
/// A conversation, written in the order in which it is held:
/// <c>new Conversation().User("What is this?", picture).Assistant(answer.Text).User("And what color is it?")</c>.
/// </summary>
public sealed class Conversation
{
    private readonly List<ChatTurn> _turns = [];

    /// <summary>In order; the last is to be answered where it has no reply.</summary>
    public IReadOnlyList<ChatTurn> Turns => _turns;

    /// <param name="words">May be empty beside a picture.</param>
    /// <param name="pictures">Encoded files, which go before the words: JPEG, PNG, WebP, GIF or BMP. Not copied: leave them unchanged while the conversation lasts.</param>
    public Conversation User(string words, params IEnumerable<ReadOnlyMemory<byte>> pictures)
    {
        _turns.Add(new ChatTurn { Text = words, Visuals = { pictures.Select(picture => new Visual { Picture = UnsafeByteOperations.UnsafeWrap(picture) }) } });
        return this;
    }

    /// <param name="reply">What the model said, unchanged, so that its tokens are found in the cache.</param>
    /// <exception cref="InvalidOperationException">No turn of the user's waits for a reply.</exception>
    public Conversation Assistant(string reply)
    {
        if (_turns.LastOrDefault() is not { HasReply: false } turn) throw new InvalidOperationException("No turn of the user's waits for a reply. Call User first.");
        turn.Reply = reply;
        return this;
    }
}
