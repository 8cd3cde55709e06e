using Microsoft.Extensions.Logging;

namespace Flamingo.LanguageModel.Execution;

/// <summary>What the language model tells an operator besides its engine; events 5000 to 5099.</summary>
internal static partial class LanguageModelLog
{
    [LoggerMessage(5001, LogLevel.Information,
        "The language model reads {Context} tokens at most. It has room for {Blocks} blocks of {BlockTokens} tokens and for {Pictures} "
        + "pictures, computes {Sequences} sequences at once, and lets {Queued} requests wait.")]
    public static partial void RoomPlanned(
        this ILogger logger, int context, int blocks, int blockTokens, int pictures, int sequences, int queued);

    [LoggerMessage(5002, LogLevel.Information, "A request was refused: {Reason}")]
    public static partial void RequestRefused(this ILogger logger, string reason);
}
