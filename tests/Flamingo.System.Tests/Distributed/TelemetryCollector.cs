using System.Collections.Concurrent;
using System.IO.Compression;
using Google.Protobuf;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Flamingo.SystemTests.Distributed;

/// <summary>A span as a service has exported it.</summary>
internal sealed record ExportedSpan(string Trace, string Id, string Parent, string Name, IReadOnlyList<string> Links, string Service);

/// <summary>
/// A collector of OpenTelemetry's protocol (OTLP over HTTP). It keeps the bytes of everything that it receives, and reads the spans.
/// </summary>
internal sealed class TelemetryCollector : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ConcurrentQueue<(string Path, byte[] Body)> _received = new();

    private TelemetryCollector(WebApplication app) => _app = app;

    /// <summary>Everything that was received, as one text of single bytes.</summary>
    public string Everything => string.Concat(_received.Select(request => System.Text.Encoding.Latin1.GetString(request.Body)));

    public IReadOnlyList<ExportedSpan> Spans =>
        [.. _received.Where(request => request.Path == "/v1/traces").SelectMany(request => Read(request.Body))];

    public bool HasMetrics => _received.Any(request => request.Path == "/v1/metrics");

    public static async Task<TelemetryCollector> StartAsync(int port)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        var app = builder.Build();
        app.Urls.Add($"http://127.0.0.1:{port}");
        var collector = new TelemetryCollector(app);
        app.MapPost("/{**path}", async (HttpContext context) =>
        {
            using var body = new MemoryStream();
            var zipped = context.Request.Headers.ContentEncoding == "gzip";
            await using (var content = zipped ? new GZipStream(context.Request.Body, CompressionMode.Decompress) : context.Request.Body)
                await content.CopyToAsync(body);
            collector._received.Enqueue((context.Request.Path, body.ToArray()));
        });
        await app.StartAsync();
        return collector;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    // ExportTraceServiceRequest { repeated ResourceSpans { Resource = 1, repeated ScopeSpans = 2 { repeated Span = 2 } } = 1 }
    private static IEnumerable<ExportedSpan> Read(byte[] request) =>
        from resource in Fields(request, 1)
        let service = Fields(resource, 1).SelectMany(attributes => Fields(attributes, 1))
            .Where(attribute => Text(attribute, 1) == "service.name").Select(attribute => Text(Fields(attribute, 2).Single(), 1)).Single()
        from scope in Fields(resource, 2)
        from span in Fields(scope, 2)
        select new ExportedSpan(
            Hex(span, 1), Hex(span, 2), Hex(span, 4), Text(span, 5), [.. Fields(span, 13).Select(link => Hex(link, 1))], service);

    private static string Text(byte[] message, int field) =>
        string.Concat(Fields(message, field).Select(System.Text.Encoding.UTF8.GetString));

    private static string Hex(byte[] message, int field) => string.Concat(Fields(message, field).Select(Convert.ToHexStringLower));

    /// <returns>The values of a field of the kind bytes, text or message.</returns>
    private static List<byte[]> Fields(byte[] message, int field)
    {
        var (input, values) = (new CodedInputStream(message), new List<byte[]>());
        while (input.ReadTag() is not 0 and var tag)
        {
            if (WireFormat.GetTagFieldNumber(tag) == field && WireFormat.GetTagWireType(tag) == WireFormat.WireType.LengthDelimited)
                values.Add(input.ReadBytes().ToByteArray());
            else input.SkipLastField();
        }

        return values;
    }
}
