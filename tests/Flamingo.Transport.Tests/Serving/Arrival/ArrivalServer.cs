using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.Transport.Serving;
using Flamingo.Transport.Serving.Arrival;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;

namespace Flamingo.Transport.Tests.Serving.Arrival;

/// <summary>A log message, and whether it had an exception.</summary>
internal sealed record Logged(LogLevel Level, string Category, string Text, Exception? Exception);

/// <summary>The status of a call as it arrived.</summary>
/// <param name="Metadata">Characters of names and values of all that was sent with the status.</param>
internal sealed record RawStatus(StatusCode Code, string Message, Google.Rpc.Status? Details, int Metadata);

/// <summary>All services on a real port, called over HTTP/2 with bytes that no gRPC client would send.</summary>
internal sealed class ArrivalServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly HttpClient _raw;

    private ArrivalServer(WebApplication app, FakeFlamingo flamingo, ConcurrentQueue<Logged> logs)
    {
        (_app, Flamingo, Logs) = (app, flamingo, logs);
        Channel = GrpcChannel.ForAddress(app.Urls.Single());
        _raw = new HttpClient(new SocketsHttpHandler())
        {
            BaseAddress = new Uri(app.Urls.Single()), DefaultRequestVersion = HttpVersion.Version20,
            DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
    }

    public FakeFlamingo Flamingo { get; }

    public ConcurrentQueue<Logged> Logs { get; }

    /// <summary>A well-behaved caller, on a connection of its own.</summary>
    public GrpcChannel Channel { get; }

    public int Port => new Uri(_app.Urls.Single()).Port;

    public ByteBudget Budget => _app.Services.GetRequiredService<ByteBudget>();

    /// <param name="bytesInFlight">Requests:MaxInFlightBytes.</param>
    /// <param name="operators">Who may clear the cache; null for what holds without the gateway's registration.</param>
    /// <param name="caller">The address that calls seem to come from; null for the real one.</param>
    /// <param name="isGateway">Whether the public services are served beside the stages.</param>
    public static async Task<ArrivalServer> StartAsync(
        long? bytesInFlight = null, TimeProvider? time = null, OperatorCalls? operators = null, IPAddress? caller = null,
        bool isGateway = true)
    {
        var (builder, logs, flamingo) = (WebApplication.CreateSlimBuilder(), new ConcurrentQueue<Logged>(), new FakeFlamingo());
        builder.Logging.ClearProviders().SetMinimumLevel(LogLevel.Information).AddProvider(new LogCollector(logs));
        builder.Configuration["Requests:MaxInFlightBytes"] = bytesInFlight?.ToString(System.Globalization.CultureInfo.InvariantCulture);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Limits.MinRequestBodyDataRate = new MinDataRate(240, TimeSpan.FromSeconds(1.5)); // the default waits 5 s
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2);
        });
        if (time is not null) builder.Services.AddSingleton(time);
        if (operators is not null) builder.Services.AddSingleton(operators);
        builder.Services.AddGrpcHealthChecks().AddCheck("serving", () => HealthCheckResult.Healthy());
        builder.Services.AddGrpcReflection();
        builder.Services.AddStageServing().AddSingleton<IResampler, EchoResampler>().AddSingleton<IVisionEncoder, NoVisionEncoder>()
            .AddSingleton<ILanguageModel>(new ScriptedLanguageModel { Script = ScriptedLanguageModel.Endless });
        if (isGateway)
            builder.Services.AddSingleton<IFlamingo>(flamingo).AddSingleton<ITasks>(flamingo).AddSingleton<ISupportSets>(flamingo)
                .AddSingleton<ILatentCacheOperations>(flamingo);
        var app = builder.Build();
        app.Use((HttpContext context, RequestDelegate next) =>
        {
            if (caller is not null) context.Connection.RemoteIpAddress = caller;
            return next(context);
        });
        if (isGateway) app.MapFlamingo();
        app.MapVisionEncoder().MapResampler().MapLanguageModel();
        app.MapGrpcHealthChecksService();
        app.MapGrpcReflectionService();
        await app.StartAsync();
        logs.Clear(); // what a server says at its start is no answer to a call
        return new ArrivalServer(app, flamingo, logs);
    }

    /// <summary>A message behind its prefix.</summary>
    public static byte[] Frame(ReadOnlySpan<byte> message, byte compression = 0, int? length = null)
    {
        var frame = new byte[5 + message.Length];
        frame[0] = compression;
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(1), length ?? message.Length);
        message.CopyTo(frame.AsSpan(5));
        return frame;
    }

    public Task<RawStatus> CallAsync(
        string method, byte[] body, CancellationToken cancellation, params (string Name, string Value)[] headers) =>
        CallAsync(method, new ByteArrayContent(body), cancellation, headers);

    /// <summary>Makes a call with this body.</summary>
    /// <param name="method">Full name without a leading slash.</param>
    public async Task<RawStatus> CallAsync(
        string method, HttpContent body, CancellationToken cancellation, params (string Name, string Value)[] headers)
    {
        using var response = await BeginAsync(method, body, cancellation, headers);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        await response.Content.ReadAsByteArrayAsync(cancellation);
        var all = response.Headers.Concat(response.TrailingHeaders).ToList();
        var details = Value("grpc-status-details-bin");
        return new RawStatus(
            (StatusCode)int.Parse(Value("grpc-status")!, System.Globalization.CultureInfo.InvariantCulture),
            Uri.UnescapeDataString(Value("grpc-message") ?? ""),
            details is null ? null : Google.Rpc.Status.Parser.ParseFrom(Convert.FromBase64String(details)),
            all.Where(header => header.Key.StartsWith("grpc-", StringComparison.Ordinal))
                .Sum(header => header.Key.Length + header.Value.Sum(value => value.Length)));

        string? Value(string name) => all.FirstOrDefault(header => header.Key == name).Value?.Single();
    }

    /// <summary>Makes a call and returns without reading its answer.</summary>
    public async Task<HttpResponseMessage> BeginAsync(
        string method, HttpContent body, CancellationToken cancellation, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, method)
        {
            Content = body, Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        body.Headers.ContentType = new("application/grpc");
        request.Headers.TE.Add(new("trailers"));
        foreach (var (name, value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        return await _raw.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
    }

    public async ValueTask DisposeAsync()
    {
        Flamingo.Gate = Task.CompletedTask;
        _raw.Dispose();
        Channel.Dispose();
        await _app.DisposeAsync();
    }

    private sealed class NoVisionEncoder : IVisionEncoder
    {
        public Task<VisionEncoderDescription> DescribeAsync(CancellationToken cancellation) => Unused<VisionEncoderDescription>();

        public Task<VisionEncoding> EncodeAsync(VisionEncodeRequest request, CancellationToken cancellation) => Unused<VisionEncoding>();

        public Task<VisionEncoderStatistics> GetStatisticsAsync(CancellationToken cancellation) => Unused<VisionEncoderStatistics>();

        private static Task<T> Unused<T>() => throw new InvalidOperationException("A refused request reached the service.");
    }

    private sealed class LogCollector(ConcurrentQueue<Logged> logs) : ILoggerProvider
    {
        public ILogger CreateLogger(string categoryName) => new Logger(categoryName, logs);

        public void Dispose()
        {
            // The test owns the list, so there is nothing to dispose.
        }

        private sealed class Logger(string category, ConcurrentQueue<Logged> logs) : ILogger
        {
            public IDisposable? BeginScope<TState>(TState state)
                where TState : notnull => null;

            public bool IsEnabled(LogLevel logLevel) => true;

            public void Log<TState>(
                LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
            {
                // ASP.NET Core logs the begin and the end of each call, refused or not.
                if (!category.StartsWith("Microsoft.AspNetCore.Hosting", StringComparison.Ordinal)
                    && !category.StartsWith("Microsoft.AspNetCore.Routing", StringComparison.Ordinal)
                    && !category.StartsWith("Microsoft.Hosting", StringComparison.Ordinal))
                    logs.Enqueue(new Logged(logLevel, category, formatter(state, exception), exception));
            }
        }
    }
}

/// <summary>A body that is written from one small buffer, so that the caller's memory does not count.</summary>
internal sealed class StreamedBody(Func<Stream, CancellationToken, Task> write) : HttpContent
{
    /// <summary>A message of this length whose bytes are those of a message with one picture.</summary>
    public static StreamedBody Pictures(int length) => new(async (stream, cancellation) =>
    {
        var (chunk, head) = (new byte[64 << 10], Head(length));
        await stream.WriteAsync(ArrivalServer.Frame(head, length: length), cancellation);
        for (var left = length - head.Length; left > 0; left -= chunk.Length)
            await stream.WriteAsync(chunk.AsMemory(0, Math.Min(left, chunk.Length)), cancellation);
    });

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => write(stream, default);

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken) =>
        write(stream, cancellationToken);

    protected override bool TryComputeLength(out long length)
    {
        length = 0;
        return false;
    }

    // EncodeRequest.pictures[0].picture, so that the whole message is one field in another.
    private static byte[] Head(int length)
    {
        using var memory = new MemoryStream();
        using var output = new CodedOutputStream(memory, leaveOpen: true);
        var inner = length - 12;
        output.WriteRawTag(0x0A);
        output.WriteLength(length - 1 - CodedOutputStream.ComputeLengthSize(inner + 6));
        output.WriteRawTag(0x0A);
        output.Flush();
        output.WriteLength(length - (int)memory.Length - CodedOutputStream.ComputeLengthSize(inner));
        output.Flush();
        return memory.ToArray();
    }
}
