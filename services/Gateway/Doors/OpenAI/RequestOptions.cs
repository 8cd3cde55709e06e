using System.Globalization;
using System.Text.Json;
using Flamingo.Abstractions;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary>
/// What a request asks for besides its prompt: OpenAI's sampling parameters, and our own fields under <c>flamingo</c>. What is absent has
/// the default of <see cref="SamplingParameters"/>, as at every other door.
/// </summary>
internal sealed record RequestOptions
{
    private static readonly string[] WithoutEffect = ["user", "metadata", "service_tier", "safety_identifier", "prompt_cache_key"];

    public SamplingParameters Sampling { get; private init; } = new();

    public ChatPromptTask? Task { get; private init; }

    public bool? ZeroShot { get; private init; }

    public SupportSetChoice? SupportSet { get; private init; }

    public TimeSpan? Pin { get; private init; }

    public AttentionChoice? Attention { get; private init; }

    public bool Streams { get; private init; }

    /// <summary>Whether a stream ends with a chunk of usage.</summary>
    public bool IncludesUsage { get; private init; }

    /// <summary>The field with which the caller says the largest number of tokens.</summary>
    private string MostTokensName { get; init; } = "max_tokens";

    /// <summary>What a chat asks for besides its messages.</summary>
    public FlamingoChatRequest Chat(string tenant) => new()
    {
        Sampling = Sampling, Task = Task, ZeroShot = ZeroShot, SupportSet = SupportSet, PinPrefix = Pin, Attention = Attention,
        Tenant = tenant,
    };

    /// <summary>Reads everything except the prompt and refuses what is left over.</summary>
    /// <param name="isChat">Whether this is a chat; a completion has other fields for log-probabilities.</param>
    public static RequestOptions Read(Fields request, bool isChat)
    {
        request.Ignore(WithoutEffect);
        AcceptOnly(request, "store", value => value.ValueKind == JsonValueKind.False, "Send false: nothing is stored.");
        if (isChat)
        {
            request.Flag("parallel_tool_calls");
            AcceptOnly(
                request, "tools", value => value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 0,
                "Leave it out: this model calls no tools.");
            AcceptOnly(request, "response_format", IsText, "Send {\"type\": \"text\"}: other formats are not enforced.");
        }
        else
        {
            AcceptOnly(request, "echo", value => value.ValueKind == JsonValueKind.False, "Send false.");
            AcceptOnly(request, "best_of", value => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var one) && one == 1,
                "Send n, or flamingo.beams.");
        }

        var own = request.Object("flamingo");
        var options = new RequestOptions
        {
            MostTokensName = request.Has("max_completion_tokens") ? "max_completion_tokens" : "max_tokens",
            Streams = request.Flag("stream") ?? false,
        };
        options = options with { IncludesUsage = ReadStreamOptions(request, options.Streams) };
        if (own is not null) options = ReadOwn(own, options, isChat);
        options = options with { Sampling = ReadSampling(request, own, isChat) };
        own?.RefuseOthers();
        request.RefuseOthers();
        return options;
    }

    /// <summary>The caller's name of a field of the native request.</summary>
    public string NameOf(string field)
    {
        const string Sampling = "sampling.";
        if (!field.StartsWith(Sampling, StringComparison.Ordinal))
            return field switch
            {
                "pin_prefix" => "flamingo.pin",
                _ when field.StartsWith("support_set", StringComparison.Ordinal)
                    || field.StartsWith("attention", StringComparison.Ordinal) =>
                    "flamingo." + field,
                _ => WithoutKind(field),
            };
        return field[Sampling.Length..] switch
        {
            "max_tokens" => MostTokensName,
            "stop_strings" => "stop",
            "samples" => "n",
            "log_probabilities" => "top_logprobs",
            var name and ("temperature" or "top_p" or "seed" or "logit_bias" or "frequency_penalty" or "presence_penalty") => name,
            var name => "flamingo." + name,
        };
    }

    // A picture's path is whole without the kind that the native request adds.
    private static string WithoutKind(string field)
    {
        foreach (var kind in new[] { ".picture", ".picture_id", ".text" })
            if (field.EndsWith(kind, StringComparison.Ordinal)
                && field.Contains('[', StringComparison.Ordinal)) return field[..^kind.Length];
        return field;
    }

    private static bool ReadStreamOptions(Fields request, bool streams)
    {
        if (request.Object("stream_options") is not { } options) return false;
        if (!streams)
            throw OpenAiFault.Invalid("stream_options", "The answer is not streamed.", "Leave it out, or send stream: true.");
        var usage = options.Flag("include_usage") ?? false;
        options.Flag("include_obfuscation");
        options.RefuseOthers();
        return usage;
    }

    private static SamplingParameters ReadSampling(Fields request, Fields? own, bool isChat)
    {
        var absent = new SamplingParameters();
        var old = request.Whole("max_tokens");
        return new SamplingParameters
        {
            MaxTokens = (isChat ? request.Whole("max_completion_tokens") : null) ?? old ?? absent.MaxTokens,
            Temperature = request.Number("temperature") ?? absent.Temperature,
            TopP = request.Number("top_p") ?? absent.TopP,
            Seed = OwnSeed(own) ?? request.Seed("seed"),
            FrequencyPenalty = request.Number("frequency_penalty") ?? absent.FrequencyPenalty,
            PresencePenalty = request.Number("presence_penalty") ?? absent.PresencePenalty,
            StopStrings = ReadStops(request),
            Samples = request.Whole("n") ?? absent.Samples,
            LogitBias = ReadBias(request),
            LogProbabilities = isChat ? ReadLogProbabilities(request) : request.Whole("logprobs"),
            TopK = own?.Whole("top_k") ?? absent.TopK,
            MinP = own?.Number("min_p") ?? absent.MinP,
            RepetitionPenalty = own?.Number("repetition_penalty") ?? absent.RepetitionPenalty,
            NoRepeatNgramSize = own?.Whole("no_repeat_ngram_size") ?? absent.NoRepeatNgramSize,
            MinTokens = own?.Whole("min_tokens") ?? absent.MinTokens,
            Beams = own?.Whole("beams") ?? absent.Beams,
            LengthPenalty = own?.Number("length_penalty") ?? absent.LengthPenalty,
            AllowedTokens = own?.Integers("allowed_tokens") ?? absent.AllowedTokens,
            StopTokens = own?.Integers("stop_tokens") ?? absent.StopTokens,
        };
    }

    // A seed of 64 bits as a text, because programs in JavaScript lose the last digits of such a number.
    private static ulong? OwnSeed(Fields? own)
    {
        if (own?.Text("seed") is not { } text) return null;
        return ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seed)
            ? seed
            : throw OpenAiFault.Invalid(own.Path("seed"), "This is no whole number of 64 bits.", "Send the digits of one.");
    }

    private static RequestOptions ReadOwn(Fields own, RequestOptions options, bool isChat)
    {
        ChatPromptTask? task = (isChat ? own.Text("task") : null) switch
        {
            null => null,
            "caption" => ChatPromptTask.Caption,
            "answer" => ChatPromptTask.Answer,
            "raw" => ChatPromptTask.Raw,
            var other => throw OpenAiFault.Invalid(
                own.Path("task"), $"'{OpenAiFault.Quote(other)}' is no task.", "Send caption, answer or raw."),
        };
        return options with
        {
            Task = task,
            ZeroShot = isChat ? own.Flag("zero_shot") : null,
            SupportSet = own.Object("support_set") is { } set ? ReadSupportSet(set) : null,
            Pin = own.Number("pin") is { } seconds
                ? seconds is > 0 and <= 1e9f ? TimeSpan.FromSeconds(seconds) : TimeSpan.Zero // the rules refuse 0 and what is too long
                : null,
            Attention = ReadAttention(own),
        };
    }

    private static SupportSetChoice ReadSupportSet(Fields set)
    {
        var name = set.Text("name") ?? throw OpenAiFault.Invalid(set.Path("name"), "There is no name.", "Send one.", "missing_field");
        var choice = new SupportSetChoice(
            name,
            set.Text("selection") switch
            {
                null or "all" => ShotSelection.All,
                "first" => ShotSelection.First,
                "random" => ShotSelection.Random,
                "rices" => ShotSelection.Rices,
                var other => throw OpenAiFault.Invalid(
                    set.Path("selection"), $"'{OpenAiFault.Quote(other)}' is no selection.", "Send all, first, random or rices."),
            },
            set.Whole("count") ?? 0, set.Seed("seed") ?? 0, set.Whole("version") ?? 0);
        set.RefuseOthers();
        return choice;
    }

    private static AttentionChoice? ReadAttention(Fields own)
    {
        if (own.Take("attention") is not { } value) return null;
        if (value.ValueKind == JsonValueKind.True) return new AttentionChoice([], []);
        if (value.ValueKind == JsonValueKind.False) return null;
        var fields = new Fields(value, own.Path("attention"));
        var choice = new AttentionChoice(fields.Integers("layers"), fields.Integers("heads"));
        fields.RefuseOthers();
        return choice;
    }

    private static IReadOnlyList<string> ReadStops(Fields request)
    {
        if (request.Take("stop") is not { } stop) return [];
        if (stop.ValueKind == JsonValueKind.String) return [Fields.Text(stop, "stop")];
        if (stop.ValueKind != JsonValueKind.Array) throw Fields.WrongType("stop", stop, "a text or a list of texts");
        return [.. Fields.Items(stop, "stop").Select(item => Fields.Text(item.Value, item.Path))];
    }

    private static Dictionary<int, float> ReadBias(Fields request)
    {
        var biases = new Dictionary<int, float>();
        if (request.Take("logit_bias") is not { } map) return biases;
        if (map.ValueKind != JsonValueKind.Object) throw Fields.WrongType("logit_bias", map, "an object of token ids and biases");
        foreach (var item in map.EnumerateObject())
        {
            var path = $"logit_bias.{OpenAiFault.Quote(item.Name)}";
            if (!int.TryParse(item.Name, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var id))
                throw OpenAiFault.Invalid(path, "The name is no token id.", "Send a whole number as the name.");
            if (!biases.TryAdd(id, Fields.Number(item.Value, path)))
                throw OpenAiFault.Invalid(path, "The token id is named twice.", "Send it once.", "duplicate_field");
        }

        return biases;
    }

    private static int? ReadLogProbabilities(Fields request)
    {
        var (wanted, top) = (request.Flag("logprobs") ?? false, request.Whole("top_logprobs"));
        if (top is not null && !wanted)
            throw OpenAiFault.Invalid("top_logprobs", "The request does not ask for logprobs.", "Send logprobs: true.");
        return wanted ? top ?? 0 : null;
    }

    private static void AcceptOnly(Fields request, string name, Predicate<JsonElement> isAccepted, string remedy)
    {
        if (request.Take(name) is { } value && !isAccepted(value)) throw OpenAiFault.Unsupported(name, remedy);
    }

    private static bool IsText(JsonElement value) =>
        value.ValueKind == JsonValueKind.Object && value.EnumerateObject().All(member =>
            member.NameEquals("type") && member.Value.ValueKind == JsonValueKind.String && member.Value.ValueEquals("text"));
}
