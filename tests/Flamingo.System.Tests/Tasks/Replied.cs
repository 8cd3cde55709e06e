using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.SystemTests.Tasks;

/// <summary>A reply read to its end.</summary>
internal sealed record Replied(string Text, IReadOnlyList<int> Ids, PicturesResolved Pictures, AnswerFinished Finished)
{
    public static async Task<Replied> ReadAsync(ITasks tasks, ChatTask task, CancellationToken cancellation)
    {
        var events = await tasks.ChatAsync(task, cancellation).ToListAsync(cancellation);
        var tokens = events[1..^1].Cast<AnswerTokens>().ToList();
        return new(string.Concat(tokens.Select(part => part.Text)), [.. tokens.SelectMany(part => part.Ids)], Assert.IsType<PicturesResolved>(events[0]), Assert.IsType<AnswerFinished>(events[^1]));
    }
}
