using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.Bench.Measuring;

/// <summary>The times of an answer, as its caller measured them.</summary>
/// <param name="FirstToken">Milliseconds from the call to the first token.</param>
/// <param name="Total">Milliseconds from the call to the end.</param>
/// <param name="FirstTokenAt">Timestamp of the first token.</param>
/// <param name="EndAt">Timestamp of the end.</param>
public sealed record TimedAnswer(double FirstToken, double Total, long FirstTokenAt, long EndAt, int Tokens)
{
    public static async Task<TimedAnswer> AskAsync(IFlamingo flamingo, FlamingoRequest request, TimeProvider time,
        CancellationToken cancellation)
    {
        var (asked, first, tokens) = (time.GetTimestamp(), 0L, 0);
        await foreach (var item in flamingo.GenerateAsync(request, cancellation))
        {
            if (item is not AnswerTokens answer) continue;
            if (tokens == 0) first = time.GetTimestamp();
            tokens += answer.Ids.Count;
        }

        var end = time.GetTimestamp();
        return tokens > 0
            ? new TimedAnswer(time.GetElapsedTime(asked, first).TotalMilliseconds, time.GetElapsedTime(asked, end).TotalMilliseconds, first,
                end, tokens)
            : throw new InvalidOperationException("The answer had no token.");
    }
}
