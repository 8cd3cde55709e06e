using System.Collections.Concurrent;
using System.IO.Compression;
using Flamingo.Abstractions;
using Flamingo.Wire;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Fixtures.Attacks;

/// <summary>The server that is attacked.</summary>
/// <param name="Port">Port of its gRPC endpoint on this machine.</param>
/// <param name="NeighbourChannel">The channel over which the neighbour of the attacker calls.</param>
public sealed record AttackTarget(int Port, GrpcChannel NeighbourChannel);

/// <summary>
/// A way in which one caller might stop all others. Each server must refuse it or share its time fairly, so that a neighbour, a
/// caller of another tenant, is answered meanwhile.
/// </summary>
/// <param name="Name">Short name, for figures.</param>
/// <param name="What">What is sent, for reports.</param>
/// <param name="Refusals">The statuses that the attacker may get; empty if the attack's calls may succeed.</param>
/// <param name="OnceAsync">Attacks once and returns the statuses of the calls that ended, null for a stream that was reset.</param>
public sealed record Attack(
    string Name, string What, IReadOnlyList<StatusCode?> Refusals,
    Func<AttackTarget, CancellationToken, Task<IReadOnlyCollection<StatusCode?>>> OnceAsync)
{
    private const string Generate = "/flamingo.v1.Flamingo/Generate";
    private static readonly Metadata Attacker = TenantHeader.With([], "attacker");
    private static readonly Lazy<byte[]> Bomb = new(() => CompressedZeros(mebibytes: 900));
    private static int _colours, _names;

    /// <summary>Memory that the server's plan reserves for this work, besides the budget of bytes in flight, in bytes.</summary>
    public long PlannedBytes { get; init; }

    /// <summary>Options of the server that the attack needs, besides the default ones.</summary>
    public IReadOnlyList<(string Option, string Value)> Options { get; init; } = [];

    public static IReadOnlyList<Attack> All { get; } =
    [
        new("gzip_bomb", "three messages of 0.9 MB that inflate to 900 MB, to Generate and to Health", [StatusCode.ResourceExhausted],
            (target, cancellation) => RawAsync(target, 65_535, async attacker =>
            {
                var streams = new List<int>();
                foreach (var path in new[] { Generate, Generate, "/grpc.health.v1.Health/Check" })
                {
                    streams.Add(await attacker.OpenAsync(path, ("grpc-encoding", "gzip"), (TenantHeader.Name, "attacker")));
                    await attacker.SendMessageAsync(streams[^1], Bomb.Value, compressed: true, cancellation: cancellation);
                }

                return streams;
            }, cancellation)),
        new("large_messages", "eight calls of 300 MB at once, whose pictures exceed every limit", [StatusCode.ResourceExhausted],
            (target, cancellation) => RawAsync(target, 65_535, async attacker =>
            {
                var message = new byte[300_000_000];
                var streams = new List<int>();
                for (var call = 0; call < 8; call++)
                    streams.Add(await attacker.OpenAsync("/flamingo.v1.Flamingo/Encode", (TenantHeader.Name, "attacker")));
                await Task.WhenAll(streams.Select(stream => attacker.SendMessageAsync(stream, message, cancellation: cancellation)));
                return streams;
            }, cancellation)),
        new("unread_answers", "64 streams with a closed window, which ask for answers of 100 kB and read nothing",
            [null, StatusCode.Aborted],
            (target, cancellation) => RawAsync(target, window: 0, async attacker =>
            {
                var sampling = new V1.Sampling { MaxTokens = 500, RepetitionPenalty = 0.1f, LogProbabilities = 20 };
                var request = new V1.GenerateRequest { Sampling = sampling, Segments = { Text("small red circle small red circle") } };
                var streams = new List<int>();
                for (var call = 0; call < 64; call++)
                {
                    streams.Add(await attacker.OpenAsync(Generate, (TenantHeader.Name, "attacker")));
                    await attacker.SendMessageAsync(streams[^1], request.ToByteArray(), cancellation: cancellation);
                }

                return streams;
            }, cancellation)),
        new("long_ranking", "one Rank of 350 candidates of 370 words", [],
            (target, cancellation) => CallAsync(target, (channel, headers) =>
            {
                var words = string.Join(' ', Enumerable.Repeat("small red circle big blue", 74));
                var request = new V1.RankRequest { Segments = { Text("This is a") } };
                request.Candidates.AddRange(Enumerable.Range(0, 350).Select(number => $" {(char)('a' + (number % 26))}{number} {words}"));
                return new V1.Flamingo.FlamingoClient(channel).RankAsync(request, headers, cancellationToken: cancellation).ResponseAsync;
            })),
        new("too_many_rank_tokens", "one Rank of 1000 candidates of 370 words", [StatusCode.InvalidArgument],
            (target, cancellation) => CallAsync(target, (channel, headers) =>
            {
                var words = string.Join(' ', Enumerable.Repeat("small red circle big blue", 74));
                var request = new V1.RankRequest { Segments = { Text("This is a") } };
                request.Candidates.AddRange(Enumerable.Range(0, 1000).Select(number => $" {(char)('a' + (number % 26))}{number} {words}"));
                return new V1.Flamingo.FlamingoClient(channel).RankAsync(request, headers, cancellationToken: cancellation).ResponseAsync;
            })),
        new("cancelled_pictures", "20 Encode calls of 16 pictures of 7000 x 7000 pixels, each cancelled after 0.3 s",
            [StatusCode.Cancelled, StatusCode.ResourceExhausted],
            async (target, cancellation) =>
            {
                var statuses = new List<StatusCode?>();
                for (var call = 0; call < 20 && !cancellation.IsCancellationRequested; call++)
                {
                    var request = new V1.EncodeRequest();
                    for (var picture = 0; picture < 16; picture++)
                        request.Pictures.Add(new V1.Visual { Picture = UnsafeByteOperations.UnsafeWrap(NewPicture(7000)) });
                    using var source = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
                    source.CancelAfter(TimeSpan.FromMilliseconds(300));
                    statuses.AddRange(await CallAsync(target, (channel, headers) =>
                        new V1.Flamingo.FlamingoClient(channel).EncodeAsync(request, headers, cancellationToken: source.Token)
                            .ResponseAsync));
                }

                return statuses;
            })
        {
            Options = [("VisionEncoder:MaxDecodes", "2")],
            PlannedBytes = 2 * 50_000_000L * 20, // decoders, VisionEncoder:MaxPixels, bytes of a pixel while it is decoded and resized
        },
        new("allowed_tokens", "20,000,000 ids in allowed_tokens", [StatusCode.InvalidArgument, StatusCode.ResourceExhausted],
            (target, cancellation) => StreamAsync(target, cancellation, new V1.GenerateRequest
            {
                Segments = { Text("a") },
                Sampling = new V1.Sampling { MaxTokens = 4, AllowedTokens = { Enumerable.Range(0, 20_000_000).Select(id => id & 127) } },
            })),
        new("many_elements", "300,000 empty candidates, labels, ids and stop tokens",
            [StatusCode.InvalidArgument, StatusCode.ResourceExhausted],
            async (target, cancellation) =>
            {
                var empty = Enumerable.Repeat("", 300_000);
                return
                [
                    .. await CallAsync(target, (channel, headers) => new V1.Flamingo.FlamingoClient(channel).RankAsync(
                        new V1.RankRequest { Segments = { Text("a") }, Candidates = { empty } }, headers,
                        cancellationToken: cancellation).ResponseAsync),
                    .. await CallAsync(target, (channel, headers) => new V1.Tasks.TasksClient(channel).ClassifyAsync(
                        new V1.ClassifyRequest { Labels = { empty } }, headers, cancellationToken: cancellation).ResponseAsync),
                    .. await CallAsync(target, (channel, headers) => new V1.Flamingo.FlamingoClient(channel).EncodeAsync(
                        new V1.EncodeRequest { Pictures = { empty.Select(_ => new V1.Visual { PictureId = "" }) } }, headers,
                        cancellationToken: cancellation).ResponseAsync),
                    .. await StreamAsync(target, cancellation, new V1.GenerateRequest
                    {
                        Segments = { Text("a") }, Sampling = new V1.Sampling { MaxTokens = 1, StopTokens = { new int[300_000] } },
                    }),
                ];
            }),
        new("pinned_prefix", "a prefix of 900 tokens in a memory of 4266, pinned for an hour, then a request that does not fit beside it",
            [],
            async (target, cancellation) =>
            {
                var text = string.Join(' ', Enumerable.Repeat("small red circle", 300));
                return
                [
                    .. await StreamAsync(target, cancellation, new V1.GenerateRequest
                    {
                        Segments = { Text(text) }, Sampling = new V1.Sampling { MaxTokens = 1 },
                        PinPrefix = Google.Protobuf.WellKnownTypes.Duration.FromTimeSpan(TimeSpan.FromHours(1)),
                    }),
                    .. await StreamAsync(target, cancellation, new V1.GenerateRequest
                    {
                        Segments = { Text("a") }, Sampling = new V1.Sampling { MaxTokens = 1000, Samples = 3, Temperature = 1 },
                    }),
                ];
            })
        {
            Options = [("LanguageModel:KvCacheBytes", "25MiB")],
        },
        new("one_tenant", "300 requests of one tenant at once", [],
            (target, cancellation) => CrowdAsync(target, _ => "attacker", cancellation)),
        new("many_tenants", "300 requests of 300 tenants with new names at once", [],
            (target, cancellation) => CrowdAsync(target, _ => $"name-{Interlocked.Increment(ref _names)}", cancellation)),
        new("large_metadata", "60 kB of metadata, on the neighbour's connection", [StatusCode.ResourceExhausted],
            async (target, cancellation) =>
            {
                Metadata headers = [.. Attacker, new("padding", new string('x', 60_000))];
                return await StatusesAsync(new V1.Flamingo.FlamingoClient(target.NeighbourChannel)
                    .GetModelAsync(new V1.GetModelRequest(), headers, cancellationToken: cancellation).ResponseAsync);
            }),
    ];

    /// <summary>Asks for four tokens about a new picture, as the tenant <c>neighbour</c>.</summary>
    /// <exception cref="RpcException">The neighbour was refused, or not answered within the time.</exception>
    public static async Task AskAsNeighbourAsync(AttackTarget target, TimeSpan longest, CancellationToken cancellation)
    {
        var request = new V1.GenerateRequest
        {
            Segments = { new V1.PromptSegment { Picture = UnsafeByteOperations.UnsafeWrap(NewPicture(32)) }, Text("This is a") },
            Sampling = new V1.Sampling { MaxTokens = 4 },
        };
        using var call = new V1.Flamingo.FlamingoClient(target.NeighbourChannel).Generate(
            request, TenantHeader.With([], "neighbour"), TimeProvider.System.GetUtcNow().UtcDateTime + longest, cancellation);
        await foreach (var _ in call.ResponseStream.ReadAllAsync(cancellation)) { }
    }

    public override string ToString() => Name;

    private static V1.PromptSegment Text(string text) => new() { Text = text };

    private static ReadOnlyMemory<byte> NewPicture(int side) => FlatPicture.Create(side, Interlocked.Increment(ref _colours) * 7919);

    // A gzip stream may consist of many members (RFC 1952, 2.2). All are the same MiB, because compressing 900 of them would take longer
    // on a busy machine than the server waits for the message of a call.
    private static byte[] CompressedZeros(int mebibytes)
    {
        using var member = new MemoryStream();
        using (var gzip = new GZipStream(member, CompressionLevel.Optimal)) gzip.Write(new byte[1 << 20]);
        return [.. Enumerable.Repeat(member.ToArray(), mebibytes).SelectMany(bytes => bytes)];
    }

    // Sends calls over one raw connection and waits until all of them have ended.
    private static async Task<IReadOnlyCollection<StatusCode?>> RawAsync(
        AttackTarget target, int window, Func<RawHttpTwo, Task<List<int>>> send, CancellationToken cancellation)
    {
        await using var attacker = await RawHttpTwo.ConnectAsync(target.Port, window);
        var statuses = new List<StatusCode?>();
        try
        {
            foreach (var stream in await send(attacker))
                statuses.Add(await attacker.StatusAsync(stream, cancellation) is { } status ? (StatusCode)int.Parse(status) : null);
        }
        catch (OperationCanceledException)
        {
            // The attack was ended; the statuses so far are returned.
        }

        return statuses;
    }

    private static async Task<IReadOnlyCollection<StatusCode?>> CallAsync<T>(AttackTarget target, Func<GrpcChannel, Metadata, Task<T>> call)
    {
        using var channel = Open(target);
        return await StatusesAsync(call(channel, Attacker));
    }

    private static async Task<IReadOnlyCollection<StatusCode?>> StreamAsync(
        AttackTarget target, CancellationToken cancellation, V1.GenerateRequest request, string tenant = "attacker")
    {
        using var channel = Open(target);
        return await StatusesAsync(ReadAsync(channel, request, tenant, cancellation));
    }

    private static async Task<IReadOnlyCollection<StatusCode?>> CrowdAsync(
        AttackTarget target, Func<int, string> tenant, CancellationToken cancellation)
    {
        using var channel = Open(target);
        var request = new V1.GenerateRequest
        {
            Segments = { Text("small red circle") }, Sampling = new V1.Sampling { MaxTokens = 48, RepetitionPenalty = 0.1f },
        };
        var statuses = new ConcurrentBag<StatusCode?>();
        await Task.WhenAll(Enumerable.Range(0, 300).Select(async number =>
        {
            foreach (var status in await StatusesAsync(ReadAsync(channel, request, tenant(number), cancellation))) statuses.Add(status);
        }));
        return statuses;
    }

    private static async Task<bool> ReadAsync(GrpcChannel channel, V1.GenerateRequest request, string tenant,
        CancellationToken cancellation)
    {
        using var call = new V1.Flamingo.FlamingoClient(channel).Generate(
            request, TenantHeader.With([], tenant), cancellationToken: cancellation);
        await foreach (var _ in call.ResponseStream.ReadAllAsync(cancellation)) { }
        return true;
    }

    private static async Task<IReadOnlyCollection<StatusCode?>> StatusesAsync(Task call)
    {
        try
        {
            await call;
            return [StatusCode.OK];
        }
        catch (RpcException failure)
        {
            return [failure.StatusCode];
        }
        catch (OperationCanceledException)
        {
            return [StatusCode.Cancelled];
        }
    }

    private static GrpcChannel Open(AttackTarget target) => GrpcChannel.ForAddress(
        $"http://127.0.0.1:{target.Port}", new GrpcChannelOptions { MaxSendMessageSize = null, MaxReceiveMessageSize = null });
}
