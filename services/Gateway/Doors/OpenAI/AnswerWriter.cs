using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Flamingo.Abstractions;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary>Writes the answers of chats and completions, whole and in chunks. Whole answers hold no null.</summary>
/// <param name="isChat">Whether this is a chat, whose choices have messages, or a completion, whose choices have texts.</param>
internal sealed class AnswerWriter(bool isChat, string model, long created, string fingerprint, RequestOptions options)
{
    private readonly string _id = (isChat ? "chatcmpl-" : "cmpl-") + Guid.NewGuid().ToString("N");

    public static AnswerWriter Of(bool isChat, FlamingoModel model, TimeProvider time, RequestOptions options)
    {
        var digests = $"{model.Vision.WeightsDigest} {model.Resampler.WeightsDigest} {model.Language.WeightsDigest}";
        var fingerprint = "fp_" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(digests)))[..16];
        return new AnswerWriter(isChat, model.Language.ModelId, time.GetUtcNow().ToUnixTimeSeconds(), fingerprint, options);
    }

    public void Whole(Utf8JsonWriter json, Answer answer)
    {
        Begin(json, isChat ? "chat.completion" : "text_completion");
        json.WriteStartArray("choices");
        foreach (var (index, sample) in answer.Samples.Index())
        {
            json.WriteStartObject();
            json.WriteNumber("index", index);
            if (isChat)
            {
                json.WriteStartObject("message");
                json.WriteString("role", "assistant");
                json.WriteString("content", sample.Text);
                json.WriteEndObject();
            }
            else
            {
                json.WriteString("text", sample.Text);
            }

            if (sample.LogProbabilities.Count > 0) LogProbabilities(json, sample.LogProbabilities, 0);
            json.WriteString("finish_reason", NameOf(answer.EndOf(index).Reason));
            json.WriteEndObject();
        }

        json.WriteEndArray();
        Usage(json, answer.Finished, answer.Cache);
        OwnFields(json, answer);
        json.WriteEndObject();
    }

    /// <param name="isFirst">Whether this is the first chunk of its sample.</param>
    /// <param name="before">Characters of the sample's text in earlier chunks.</param>
    public void Chunk(Utf8JsonWriter json, AnswerTokens tokens, bool isFirst, int before)
    {
        BeginChunk(json);
        json.WriteStartArray("choices");
        json.WriteStartObject();
        json.WriteNumber("index", tokens.Sample);
        if (isChat)
        {
            json.WriteStartObject("delta");
            if (isFirst) json.WriteString("role", "assistant");
            json.WriteString("content", tokens.Text);
            json.WriteEndObject();
        }
        else
        {
            json.WriteString("text", tokens.Text);
        }

        if (tokens.LogProbabilities.Count > 0) LogProbabilities(json, tokens.LogProbabilities, before);
        else json.WriteNull("logprobs");
        json.WriteNull("finish_reason");
        json.WriteEndObject();
        json.WriteEndArray();
        EndChunk(json);
    }

    /// <param name="isLast">Whether our own fields follow, which are in the last of these chunks.</param>
    public void LastChunk(Utf8JsonWriter json, Answer answer, int sample, bool isLast)
    {
        BeginChunk(json);
        json.WriteStartArray("choices");
        json.WriteStartObject();
        json.WriteNumber("index", sample);
        if (isChat)
        {
            json.WriteStartObject("delta");
            json.WriteEndObject();
        }
        else
        {
            json.WriteString("text", "");
        }

        json.WriteNull("logprobs");
        json.WriteString("finish_reason", NameOf(answer.EndOf(sample).Reason));
        json.WriteEndObject();
        json.WriteEndArray();
        if (isLast) OwnFields(json, answer);
        EndChunk(json);
    }

    public void UsageChunk(Utf8JsonWriter json, Answer answer)
    {
        BeginChunk(json);
        json.WriteStartArray("choices");
        json.WriteEndArray();
        Usage(json, answer.Finished, answer.Cache);
        json.WriteEndObject();
    }

    private static string NameOf(FinishReason reason) => reason == FinishReason.Length ? "length" : "stop";

    private void BeginChunk(Utf8JsonWriter json) => Begin(json, isChat ? "chat.completion.chunk" : "text_completion");

    private void Begin(Utf8JsonWriter json, string kind)
    {
        json.WriteStartObject();
        json.WriteString("id", _id);
        json.WriteString("object", kind);
        json.WriteNumber("created", created);
        json.WriteString("model", model);
        json.WriteString("system_fingerprint", fingerprint);
    }

    private void EndChunk(Utf8JsonWriter json)
    {
        if (options.IncludesUsage) json.WriteNull("usage");
        json.WriteEndObject();
    }

    private static void Usage(Utf8JsonWriter json, AnswerFinished end, CacheUse cache)
    {
        json.WriteStartObject("usage");
        json.WriteNumber("prompt_tokens", end.PromptTokens);
        json.WriteNumber("completion_tokens", end.GeneratedTokens);
        json.WriteNumber("total_tokens", end.PromptTokens + end.GeneratedTokens);
        json.WriteStartObject("prompt_tokens_details");
        json.WriteNumber("cached_tokens", end.CachedTokens);
        json.WriteNumber("pictures_encoded", cache.Encoded);
        json.WriteNumber("pictures_cached", cache.MemoryHits + cache.RedisHits);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private void LogProbabilities(Utf8JsonWriter json, IReadOnlyList<TokenLogProbability> tokens, int offset)
    {
        json.WriteStartObject("logprobs");
        if (isChat) ChatLogProbabilities(json, tokens);
        else CompletionLogProbabilities(json, tokens, offset);
        json.WriteEndObject();
    }

    private static void ChatLogProbabilities(Utf8JsonWriter json, IReadOnlyList<TokenLogProbability> tokens)
    {
        json.WriteStartArray("content");
        foreach (var token in tokens)
        {
            json.WriteStartObject();
            Token(json, token, 0, token.LogProbability);
            json.WriteStartArray("top_logprobs");
            foreach (var (index, top) in token.Top.Index())
            {
                json.WriteStartObject();
                Token(json, token, index + 1, top.LogProbability);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void Token(Utf8JsonWriter json, TokenLogProbability token, int index, float value)
    {
        var text = TextOf(token, index);
        json.WriteString("token", Encoding.UTF8.GetString(text));
        json.WriteNumber("logprob", value);
        json.WriteStartArray("bytes");
        foreach (var part in text) json.WriteNumberValue(part);
        json.WriteEndArray();
    }

    // The older shape: parallel lists, and one object of the most likely tokens for each token.
    private static void CompletionLogProbabilities(Utf8JsonWriter json, IReadOnlyList<TokenLogProbability> tokens, int offset)
    {
        json.WriteStartArray("tokens");
        foreach (var token in tokens) json.WriteStringValue(Encoding.UTF8.GetString(TextOf(token, 0)));
        json.WriteEndArray();
        json.WriteStartArray("token_logprobs");
        foreach (var token in tokens) json.WriteNumberValue(token.LogProbability);
        json.WriteEndArray();
        json.WriteStartArray("top_logprobs");
        foreach (var token in tokens)
        {
            json.WriteStartObject();
            var names = new HashSet<string>(StringComparer.Ordinal); // two parts of characters can have one text
            foreach (var (index, top) in token.Top.Index())
                if (Encoding.UTF8.GetString(TextOf(token, index + 1)) is var name && names.Add(name))
                    json.WriteNumber(name, top.LogProbability);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("text_offset");
        foreach (var token in tokens)
        {
            json.WriteNumberValue(offset);
            offset += Encoding.UTF8.GetCharCount(TextOf(token, 0));
        }

        json.WriteEndArray();
    }

    private static ReadOnlySpan<byte> TextOf(TokenLogProbability token, int index) =>
        index < token.Texts.Count ? token.Texts[index].Span : [];

    private void OwnFields(Utf8JsonWriter json, Answer answer)
    {
        var end = answer.Finished;
        json.WriteStartObject("flamingo");
        OwnJson.Pictures(json, answer.Pictures, answer.Cache);
        if (answer.Shots is { } shots)
        {
            json.WriteStartObject("shots");
            json.WriteString("name", shots.Name);
            json.WriteNumber("version", shots.Version);
            json.WriteStartArray("examples");
            foreach (var example in shots.Examples) json.WriteNumberValue(example);
            json.WriteEndArray();
            json.WriteEndObject();
        }

        OwnJson.Timings(json, end.Timings);
        OwnJson.Digests(json, end.Digests);
        if (options.Sampling.Temperature > 0) json.WriteString("seed", end.Seed.ToString(CultureInfo.InvariantCulture));
        json.WriteStartArray("choices");
        foreach (var (index, sample) in answer.Samples.Index())
        {
            json.WriteStartObject();
            json.WriteStartArray("token_ids");
            foreach (var id in sample.Ids) json.WriteNumberValue(id);
            json.WriteEndArray();
            if (answer.EndOf(index).Score is { } score) json.WriteNumber("score", score);
            if (sample.Attention.Count > 0) Attention(json, sample.Attention);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Attention(Utf8JsonWriter json, IReadOnlyList<TokenAttention?> tokens)
    {
        json.WriteStartArray("attention");
        foreach (var token in tokens)
        {
            // a token that attends to no picture has an empty object
            json.WriteStartObject();
            if (token is not null)
            {
                json.WriteNumber("picture", token.Picture);
                var map = token.Map ?? token.Weights;
                json.WriteStartArray("shape");
                foreach (var size in map.Shape) json.WriteNumberValue(size);
                json.WriteEndArray();
                json.WriteStartArray("map");
                foreach (var value in map.ToFloats()) json.WriteNumberValue(value);
                json.WriteEndArray();
            }

            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
