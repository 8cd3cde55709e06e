using Google.Protobuf;
using Grpc.Core;

namespace Flamingo.Transport.Serving.Arrival;

/// <summary>How large the messages of a method may be. Every gRPC endpoint carries one as metadata.</summary>
/// <param name="Size">Kind of content, which gives the limit.</param>
/// <param name="StreamsRequests">Whether a call sends any number of messages, and not exactly one.</param>
/// <param name="Message">Full name of the message's type, for errors.</param>
internal sealed record RequestLimit(RequestLimit.Content Size, bool StreamsRequests, string Message)
{
    // Texts of a prompt have at most PromptRules.MostCharacters UTF-16 units, each at most three bytes of UTF-8, and the rest of such a
    // request is small.
    private const int TextBytes = 16 << 20;

    internal enum Content
    {
        /// <summary>Names and numbers only.</summary>
        Small,

        /// <summary>The texts of a prompt.</summary>
        Text,

        /// <summary>Pictures or tensors.</summary>
        Data,
    }

    public static RequestLimit Of<TRequest, TResponse>(Method<TRequest, TResponse> method)
        where TRequest : class
    {
        var type = (Activator.CreateInstance<TRequest>() as IMessage)?.Descriptor;
        // The messages of a prompt in Tokenize may hold latents, but tokens do not depend on them.
        var size = method is { ServiceName: "flamingo.v1.LanguageModel", Name: "Tokenize" } ? Content.Text
            : type is not null && ArrivalRules.HoldsData(type) ? Content.Data : Content.Small;
        return new RequestLimit(
            size, method.Type is MethodType.ClientStreaming or MethodType.DuplexStreaming, type?.FullName ?? typeof(TRequest).Name);
    }

    /// <summary>The largest message in bytes, after decompression.</summary>
    public int Bytes(ByteBudget budget) => Size switch
    {
        Content.Small => ByteBudget.SmallBytes,
        Content.Text => Math.Min(TextBytes, budget.LargestMessage),
        _ => budget.LargestMessage,
    };
}
