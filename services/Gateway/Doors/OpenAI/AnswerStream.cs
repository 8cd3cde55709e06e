using System.Buffers;
using System.Text.Json;
using Flamingo.Abstractions;
using Microsoft.AspNetCore.Http;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary>Sends an answer whole, or as server-sent events.</summary>
internal static class AnswerStream
{
    /// <param name="translate">Makes a failure one in the caller's terms.</param>
    public static async Task SendAsync(
        HttpContext context, AnswerWriter writer, RequestOptions options, IAsyncEnumerable<AnswerEvent> events,
        Func<FlamingoException, OpenAiFault> translate)
    {
        try
        {
            if (options.Streams) await StreamAsync(context, writer, options, events, translate);
            else
            {
                var answer = await Answer.ReadAsync(events, context.RequestAborted);
                await OpenAiJson.WriteAsync(context, json => writer.Whole(json, answer));
            }
        }
        catch (FlamingoException failure)
        {
            throw translate(failure);
        }
    }

    // Nothing is sent before the first token, so that a request that is refused gets a status. A later failure is an event of its own.
    private static async Task StreamAsync(
        HttpContext context, AnswerWriter writer, RequestOptions options, IAsyncEnumerable<AnswerEvent> events,
        Func<FlamingoException, OpenAiFault> translate)
    {
        using var stream = new EventStream(context);
        var (gathered, lengths) = (new AnswerBuilder(), new Dictionary<int, int>());
        try
        {
            await foreach (var item in events.WithCancellation(context.RequestAborted))
            {
                gathered.Add(item);
                if (item is not AnswerTokens tokens) continue;
                var isFirst = lengths.TryAdd(tokens.Sample, 0);
                // a token that completes no text yet is told only where there is more to tell of it
                if (!isFirst && tokens is { Text: "", LogProbabilities.Count: 0 }) continue;
                var before = lengths[tokens.Sample];
                lengths[tokens.Sample] = before + tokens.Text.Length;
                await stream.SendAsync(json => writer.Chunk(json, tokens, isFirst, before));
            }

            var answer = gathered.Build();
            foreach (var sample in Enumerable.Range(0, answer.Samples.Count))
                await stream.SendAsync(json => writer.LastChunk(json, answer, sample, sample == answer.Samples.Count - 1));
            if (options.IncludesUsage) await stream.SendAsync(json => writer.UsageChunk(json, answer));
            await stream.SendAsync("[DONE]"u8.ToArray());
        }
        catch (FlamingoException failure) when (context.Response.HasStarted)
        {
            await stream.SendAsync(translate(failure).ToJson());
        }
    }

    private sealed class EventStream(HttpContext context) : IDisposable
    {
        private readonly ArrayBufferWriter<byte> _text = new(512);
        private Utf8JsonWriter? _json;

        public async Task SendAsync(Action<Utf8JsonWriter> write)
        {
            _text.ResetWrittenCount();
            _json ??= new Utf8JsonWriter(_text, OpenAiJson.Written);
            _json.Reset();
            write(_json);
            await _json.FlushAsync();
            await SendAsync(_text.WrittenMemory);
        }

        public async Task SendAsync(ReadOnlyMemory<byte> data)
        {
            var response = context.Response;
            if (!response.HasStarted)
            {
                response.ContentType = "text/event-stream";
                response.Headers.CacheControl = "no-cache";
                response.Headers["X-Accel-Buffering"] = "no"; // or proxies hold events back
            }

            response.BodyWriter.Write("data: "u8);
            response.BodyWriter.Write(data.Span);
            response.BodyWriter.Write("\n\n"u8);
            await response.BodyWriter.FlushAsync(context.RequestAborted);
        }

        public void Dispose() => _json?.Dispose();
    }
}
