using Flamingo.Abstractions;
using Microsoft.Extensions.AI;

namespace Flamingo.Client.MicrosoftAI;

/// <summary>Makes our own request of the options of Microsoft.Extensions.AI. What cannot be obeyed is refused by its name.</summary>
internal static class ChatRequest
{
    // our names of fields, and those of ChatOptions
    private static readonly Dictionary<string, string> Names = new()
    {
        ["sampling.max_tokens"] = nameof(ChatOptions.MaxOutputTokens), ["sampling.temperature"] = nameof(ChatOptions.Temperature),
        ["sampling.top_p"] = nameof(ChatOptions.TopP), ["sampling.top_k"] = nameof(ChatOptions.TopK),
        ["sampling.frequency_penalty"] = nameof(ChatOptions.FrequencyPenalty),
        ["sampling.presence_penalty"] = nameof(ChatOptions.PresencePenalty),
        ["sampling.stop_strings"] = nameof(ChatOptions.StopSequences),
    };

    /// <exception cref="FlamingoException">InvalidArgument: the options ask for what cannot be done.</exception>
    public static FlamingoChatRequest Of(ChatOptions? options, IChatClient client)
    {
        if (options is null) return new FlamingoChatRequest();
        var faults = new FaultList();
        var request = Base(options.RawRepresentationFactory?.Invoke(client), faults);
        CheckUnsupported(options, faults);
        if (request.Sampling.Samples != 1)
            faults.Add(new(
                "sampling.samples", $"The request has {request.Sampling.Samples} answers, and a chat client returns one.",
                "Give 1, or call IFlamingo.GenerateAsync."));
        PromptRules.ThrowIfAny(faults);

        var sampling = request.Sampling;
        return request with
        {
            Sampling = sampling with
            {
                MaxTokens = options.MaxOutputTokens ?? sampling.MaxTokens,
                Temperature = options.Temperature ?? sampling.Temperature,
                TopP = options.TopP ?? sampling.TopP,
                TopK = options.TopK ?? sampling.TopK,
                FrequencyPenalty = options.FrequencyPenalty ?? sampling.FrequencyPenalty,
                PresencePenalty = options.PresencePenalty ?? sampling.PresencePenalty,
                Seed = options.Seed is { } seed ? unchecked((ulong)seed) : sampling.Seed,
                StopStrings = options.StopSequences is { Count: > 0 } stops
                    ? [.. sampling.StopStrings, .. stops.Except(sampling.StopStrings)]
                    : sampling.StopStrings,
            },
        };
    }

    /// <summary>A refusal in the words of <see cref="ChatOptions"/>.</summary>
    public static FlamingoException Translate(FlamingoException refusal) => refusal.Faults.Any(fault => Names.ContainsKey(fault.Field))
        ? FlamingoException.Invalid(
            [.. refusal.Faults.Select(fault =>
                Names.TryGetValue(fault.Field, out var name) ? fault with { Field = $"options.{name}" } : fault)],
            refusal.FurtherFaults)
        : refusal;

    private static FlamingoChatRequest Base(object? given, FaultList faults)
    {
        const string Factory = "options.RawRepresentationFactory";
        switch (given)
        {
            case null:
                return new FlamingoChatRequest();
            case FlamingoChatRequest request:
                return request;
            case FlamingoRequest { Segments.Count: 0 } request:
                return new FlamingoChatRequest
                {
                    Sampling = request.Sampling, SupportSet = request.SupportSet, PinPrefix = request.PinPrefix,
                    Attention = request.Attention, Tenant = request.Tenant,
                };
            case FlamingoRequest:
                faults.Add(new(Factory, "The FlamingoRequest has segments, and the messages make them.", "Return it without segments."));
                return new FlamingoChatRequest();
            default:
                faults.Add(new(
                    Factory, $"It returns a {given.GetType().Name}, which is a request of another client.",
                    "Return a FlamingoChatRequest, or null."));
                return new FlamingoChatRequest();
        }
    }

    private static void CheckUnsupported(ChatOptions options, FaultList faults)
    {
        if (options.Tools is { Count: > 0 } && options.ToolMode is not NoneChatToolMode)
            Refuse(nameof(options.Tools), "This model calls no tools.", "Leave it out, or set ToolMode to None.");
        if (options.ToolMode is RequiredChatToolMode)
            Refuse(nameof(options.ToolMode), "This model calls no tools.", "Leave it out, or set it to Auto or None.");
        if (options.ResponseFormat is not (null or ChatResponseFormatText))
            Refuse(nameof(options.ResponseFormat), "Formats other than text are not enforced.", "Leave it out, or set it to Text.");
        if (!string.IsNullOrEmpty(options.ConversationId))
            Refuse(nameof(options.ConversationId), "The server keeps no conversations.", "Leave it out, and give all messages.");
        if (options.Reasoning?.Effort is not (null or ReasoningEffort.None))
            Refuse(nameof(options.Reasoning), "This model does not reason before it answers.", "Leave it out.");
        if (options.AllowBackgroundResponses == true)
            Refuse(nameof(options.AllowBackgroundResponses), "An answer lasts as long as its call.", "Leave it out.");
        if (options.ContinuationToken is not null)
            Refuse(nameof(options.ContinuationToken), "An answer cannot be continued in another call.", "Leave it out.");

        void Refuse(string name, string problem, string remedy) => faults.Add(new($"options.{name}", problem, remedy));
    }
}
