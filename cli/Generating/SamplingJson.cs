using System.Globalization;
using System.Text.Json;
using Flamingo.Abstractions;

namespace Flamingo.Cli.Generating;

/// <summary>Reads the <c>sampling</c> member of a prompt file, whose members have the names of the public service's fields.</summary>
public static class SamplingJson
{
    private delegate SamplingParameters Reader(SamplingParameters read, JsonProperty member, List<string> faults);

    private static readonly OrderedDictionary<string, Reader> Members = new()
    {
        ["max_tokens"] = (read, member, faults) => read with { MaxTokens = Integer(member, faults, read.MaxTokens) },
        ["temperature"] = (read, member, faults) => read with { Temperature = Number(member, faults, read.Temperature) },
        ["top_k"] = (read, member, faults) => read with { TopK = Integer(member, faults, read.TopK) },
        ["top_p"] = (read, member, faults) => read with { TopP = Number(member, faults, read.TopP) },
        ["seed"] = (read, member, faults) => read with { Seed = Seed(member, faults) },
        ["repetition_penalty"] = (read, member, faults) => read with { RepetitionPenalty = Number(member, faults, read.RepetitionPenalty) },
        ["frequency_penalty"] = (read, member, faults) => read with { FrequencyPenalty = Number(member, faults, read.FrequencyPenalty) },
        ["presence_penalty"] = (read, member, faults) => read with { PresencePenalty = Number(member, faults, read.PresencePenalty) },
        ["min_p"] = (read, member, faults) => read with { MinP = Number(member, faults, read.MinP) },
        ["no_repeat_ngram_size"] = (read, member, faults) =>
            read with { NoRepeatNgramSize = Integer(member, faults, read.NoRepeatNgramSize) },
        ["min_tokens"] = (read, member, faults) => read with { MinTokens = Integer(member, faults, read.MinTokens) },
        ["stop_strings"] = (read, member, faults) => read with { StopStrings = Strings(member, faults) },
        ["stop_tokens"] = (read, member, faults) => read with { StopTokens = Integers(member, faults) },
        ["samples"] = (read, member, faults) => read with { Samples = Integer(member, faults, read.Samples) },
        ["beams"] = (read, member, faults) => read with { Beams = Integer(member, faults, read.Beams) },
        ["length_penalty"] = (read, member, faults) => read with { LengthPenalty = Number(member, faults, read.LengthPenalty) },
        ["logit_bias"] = (read, member, faults) => read with { LogitBias = Biases(member, faults) },
        ["allowed_tokens"] = (read, member, faults) => read with { AllowedTokens = Integers(member, faults) },
        ["log_probabilities"] = (read, member, faults) => read with { LogProbabilities = Integer(member, faults, 0) },
    };

    /// <summary>The names of the known members, which are the service's field names.</summary>
    public static IEnumerable<string> Fields => Members.Keys;

    public static SamplingParameters Read(JsonElement sampling, List<string> faults)
    {
        var read = new SamplingParameters();
        if (sampling.ValueKind != JsonValueKind.Object)
        {
            faults.Add("sampling: must be an object.");
            return read;
        }

        foreach (var member in sampling.EnumerateObject())
        {
            if (Members.TryGetValue(member.Name, out var reader)) read = reader(read, member, faults);
            else faults.Add($"sampling: unknown member '{member.Name}'. Known are {string.Join(", ", Members.Keys)}.");
        }

        faults.AddRange(SamplingRules.Faults(read).Select(fault => fault.ToString()));
        return read;
    }

    private static T Fault<T>(JsonProperty member, string kind, List<string> faults, T instead)
    {
        faults.Add($"sampling.{member.Name}: must be {kind}.");
        return instead;
    }

    private static int Integer(JsonProperty member, List<string> faults, int instead) =>
        member.Value.ValueKind == JsonValueKind.Number && member.Value.TryGetInt32(out var value)
            ? value
            : Fault(member, "a whole number", faults, instead);

    private static float Number(JsonProperty member, List<string> faults, float instead) =>
        member.Value.ValueKind == JsonValueKind.Number && member.Value.TryGetSingle(out var value)
            ? value
            : Fault(member, "a number", faults, instead);

    private static ulong? Seed(JsonProperty member, List<string> faults) =>
        member.Value.ValueKind == JsonValueKind.Number && member.Value.TryGetUInt64(out var value)
            ? value
            : Fault<ulong?>(member, "a whole number from 0 to 2^64 - 1", faults, null);

    private static IReadOnlyList<string> Strings(JsonProperty member, List<string> faults) =>
        member.Value.ValueKind == JsonValueKind.Array && member.Value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String)
            ? [.. member.Value.EnumerateArray().Select(item => item.GetString()!)]
            : Fault<IReadOnlyList<string>>(member, "a list of strings", faults, []);

    private static IReadOnlyList<int> Integers(JsonProperty member, List<string> faults) =>
        member.Value.ValueKind == JsonValueKind.Array
            && member.Value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out _))
            ? [.. member.Value.EnumerateArray().Select(item => item.GetInt32())]
            : Fault<IReadOnlyList<int>>(member, "a list of token ids", faults, []);

    private static IReadOnlyDictionary<int, float> Biases(JsonProperty member, List<string> faults)
    {
        var biases = new Dictionary<int, float>();
        var understood = member.Value.ValueKind == JsonValueKind.Object && member.Value.EnumerateObject().All(item =>
            int.TryParse(item.Name, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var id)
            && item.Value.ValueKind == JsonValueKind.Number && item.Value.TryGetSingle(out var bias) && biases.TryAdd(id, bias));
        return understood
            ? biases
            : Fault(member, "an object of distinct token ids and numbers", faults, new Dictionary<int, float>());
    }
}
