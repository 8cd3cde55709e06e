using Microsoft.Extensions.Logging;

namespace Flamingo.LanguageModel.Execution;

/// <summary>Log messages of the language model, except those of its engine; events 5000 to 5099.</summary>
internal static partial class LanguageModelLog
{
    [LoggerMessage(5001, LogLevel.Information,
        "The language model reads at most {Context} tokens. It has memory for {Blocks} blocks of {BlockTokens} tokens and for {Pictures} "
        + "pictures, computes up to {Sequences} sequences at once, and lets up to {Queued} requests wait.")]
    public static partial void MemoryPlanned(
        this ILogger logger, int context, int blocks, int blockTokens, int pictures, int sequences, int queued);

    [LoggerMessage(5002, LogLevel.Information, "A request was refused: {Reason}")]
    public static partial void RequestRefused(this ILogger logger, string reason);
}
