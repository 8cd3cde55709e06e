using System.Diagnostics;
using Flamingo.Abstractions;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Options;
using OpenTelemetry;
using OpenTelemetry.Trace;

namespace Flamingo.Client.Tests.MicrosoftAI;

/// <summary>What Microsoft.Extensions.AI stacks on top of a chat client works on ours.</summary>
public sealed class ChatPipelineTests : IAsyncLifetime
{
    private ChatServer _server = null!;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static IDistributedCache NewCache => new MemoryDistributedCache(Options.Create(new MemoryDistributedCacheOptions()));

    private static List<ChatMessage> Messages =>
        [new(ChatRole.User, [new DataContent("dog"u8.ToArray(), "image/png"), new TextContent("what is this?")])];

    public async ValueTask InitializeAsync() => _server = await ChatServer.StartAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Theory(Timeout = 60_000), InlineData(true), InlineData(false)]
    public async Task OpenTelemetry_exports_an_activity_with_the_usage_of_tokens(bool streams)
    {
        var source = $"chat-{Guid.NewGuid()}";
        var exported = new List<Activity>();
        using (Exporting(source, exported))
        {
            using var chat = _server.Client.AsChatClient().AsBuilder().UseOpenTelemetry(sourceName: source).Build();
            if (streams) await chat.GetStreamingResponseAsync(Messages, cancellationToken: Cancellation).ToListAsync(Cancellation);
            else await chat.GetResponseAsync(Messages, cancellationToken: Cancellation);
        }

        var tags = Assert.Single(exported).TagObjects.ToDictionary();
        Assert.Equal(("chat", "flamingo"), (tags["gen_ai.operation.name"], tags["gen_ai.provider.name"]));
        Assert.Equal((7, 2), (Convert.ToInt32(tags["gen_ai.usage.input_tokens"]), Convert.ToInt32(tags["gen_ai.usage.output_tokens"])));
        Assert.Equal("scripted", tags["gen_ai.response.model"]);
        Assert.Equal(new Uri(_server.Address).Port, tags["server.port"]);
        Assert.Equal("""["stop"]""", tags["gen_ai.response.finish_reasons"]);
    }

    [Fact(Timeout = 60_000)]
    public async Task OpenTelemetry_tells_of_a_failure()
    {
        var source = $"chat-{Guid.NewGuid()}";
        var exported = new List<Activity>();
        using (Exporting(source, exported))
        {
            using var chat = _server.Client.AsChatClient().AsBuilder().UseOpenTelemetry(sourceName: source).Build();
            _server.Flamingo.Fails = new FlamingoException(FlamingoErrorKind.Overloaded, "Too many.");
            await Assert.ThrowsAsync<FlamingoException>(() => chat.GetResponseAsync(Messages, cancellationToken: Cancellation));
        }

        Assert.Equal(ActivityStatusCode.Error, Assert.Single(exported).Status);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_distributed_cache_answers_the_second_time_without_the_server()
    {
        var cache = NewCache;
        using var chat = _server.Client.AsChatClient().AsBuilder().UseDistributedCache(cache).Build();
        var first = await chat.GetResponseAsync(Messages, cancellationToken: Cancellation);
        var second = await chat.GetResponseAsync(Messages, cancellationToken: Cancellation);
        Assert.Single(_server.Flamingo.Requests);
        Assert.Equal(
            (first.Text, first.ResponseId, first.CreatedAt, first.ModelId, first.FinishReason),
            (second.Text, second.ResponseId, second.CreatedAt, second.ModelId, second.FinishReason));
        Assert.Equal((7L, 5L), (second.Usage!.InputTokenCount, second.Usage.CachedInputTokenCount));
        Assert.Equal(1, second.Usage.AdditionalCounts!["pictures_encoded"]);

        var streamed = await chat.GetStreamingResponseAsync(Messages, cancellationToken: Cancellation).ToListAsync(Cancellation);
        var again = await chat.GetStreamingResponseAsync(Messages, cancellationToken: Cancellation).ToListAsync(Cancellation);
        Assert.Equal(2, _server.Flamingo.Requests.Count);
        Assert.Equal(streamed.ToChatResponse().Text, again.ToChatResponse().Text);
        Assert.Equal(7, again.ToChatResponse().Usage!.InputTokenCount);

        // an id, another option, and another process with the same cache
        await chat.GetResponseAsync(
            new ChatMessage(ChatRole.User, [new HostedFileContent(PictureId.Of("dog"u8))]), new() { MaxOutputTokens = 3 }, Cancellation);
        Assert.Equal(3, _server.Flamingo.Requests.Count);
        using var other = new FlamingoClient(_server.Address);
        await other.AsChatClient().AsBuilder().UseDistributedCache(cache).Build().GetResponseAsync(
            new ChatMessage(ChatRole.User, [new HostedFileContent(PictureId.Of("dog"u8))]), new() { MaxOutputTokens = 3 }, Cancellation);
        Assert.Equal(3, _server.Flamingo.Requests.Count);
    }

    /// <summary>The key of the cache does not know what the factory returns, which docs/dotnet.md says.</summary>
    [Fact(Timeout = 60_000)]
    public async Task A_distributed_cache_is_told_of_a_support_set_by_an_additional_property()
    {
        using var chat = _server.Client.AsChatClient().AsBuilder().UseDistributedCache(NewCache).Build();
        foreach (var name in new[] { "words", "words", "colors" })
        {
            await chat.GetResponseAsync(
                Messages, new()
                {
                    RawRepresentationFactory = _ => new FlamingoChatRequest { SupportSet = new(name) },
                    AdditionalProperties = new() { ["support set"] = name },
                }, Cancellation);
        }

        Assert.Equal(["words", "colors"], _server.Flamingo.Requests.Select(request => request.SupportSet!.Name));
    }

    [Fact(Timeout = 60_000)]
    public async Task Function_invocation_telemetry_and_a_cache_stack_on_top()
    {
        using var chat = _server.Client.AsChatClient().AsBuilder()
            .UseFunctionInvocation().UseDistributedCache(NewCache).UseOpenTelemetry().Build();
        foreach (var _ in Enumerable.Range(0, 2))
            Assert.Equal("a dog", (await chat.GetResponseAsync(Messages, cancellationToken: Cancellation)).Text);
        Assert.Single(_server.Flamingo.Requests);
        Assert.Same(_server.Client, chat.GetService<FlamingoClient>());

        // tools are refused rather than ignored: the model would never call them
        var refusal = await Assert.ThrowsAsync<FlamingoException>(
            () => chat.GetResponseAsync(Messages, new() { Tools = [AIFunctionFactory.Create(() => 1)] }, Cancellation));
        Assert.Equal("options.Tools", Assert.Single(refusal.Faults).Field);
    }

    private static TracerProvider Exporting(string source, List<Activity> exported) => Sdk.CreateTracerProviderBuilder()
        .AddSource(source).AddProcessor(new SimpleActivityExportProcessor(new Kept(exported))).Build();

    private sealed class Kept(List<Activity> activities) : BaseExporter<Activity>
    {
        public override ExportResult Export(in Batch<Activity> batch)
        {
            foreach (var activity in batch) activities.Add(activity);
            return ExportResult.Success;
        }
    }
}
