using System.Net;
using System.Runtime.CompilerServices;
using Flamingo.Client;
using Flamingo.Protos.V1;
using Flamingo.Stages;
using Flamingo.Transport.Serving;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Flamingo.SystemTests.Client;

/// <summary>The typed client against a real port, behind which a test writes the answers.</summary>
public sealed class FlamingoClientTests : IAsyncLifetime
{
    private readonly Scripted _scripted = new();
    private WebApplication _server = null!;
    private FlamingoClient _client = null!;

    public async ValueTask InitializeAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        builder.Services.AddStageServing().AddSingleton<IFlamingo>(_scripted);
        _server = builder.Build();
        _server.MapFlamingo();
        await _server.StartAsync();
        _client = new FlamingoClient(_server.Urls.Single());
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _server.DisposeAsync();
    }

    [Fact(Timeout = 60_000)]
    public async Task Several_answers_come_apart_and_what_was_asked_arrives()
    {
        var answer = await _client.GenerateAsync(
            new GenerateRequest
            {
                Segments = { new Prompt().Picture(new byte[] { 1 }).Text("x").Segments }, Sampling = new Sampling { Samples = 2 },
                PinPrefix = Duration.FromTimeSpan(TimeSpan.FromSeconds(3)), Attention = new Protos.V1.AttentionChoice { Layers = { 1 } },
            },
            TestContext.Current.CancellationToken);
        Assert.Equal(["a dog", "a cat"], answer.Samples.Select(sample => sample.Text));
        Assert.Equal("a dog", answer.Text);
        Assert.Equal([1, 2], answer.Ids);
        Assert.Equal(-0.5f, answer.Samples[0].LogProbabilities.Single().LogProbability);
        Assert.Equal([2, 2], answer.Samples[1].Attention.Single().Map.Shape);
        Assert.Equal(5, answer.Finished.CachedTokens);
        Assert.Equal((TimeSpan.FromSeconds(3), 1), (_scripted.Asked!.PinPrefix, _scripted.Asked.Attention!.Layers.Single()));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_refusal_names_field_problem_and_remedy()
    {
        _scripted.Refusal = StageException.Invalid("segments[0].text", "A problem\nof two lines.", "Send another.");
        var refusal = await Assert.ThrowsAsync<FlamingoException>(() => _client.GenerateAsync(new Prompt().Text("x"), cancellation: TestContext.Current.CancellationToken));
        Assert.Equal(StatusCode.InvalidArgument, refusal.StatusCode);
        Assert.Equal(new RequestFault("segments[0].text", "A problem\nof two lines.", "Send another."), Assert.Single(refusal.Faults));
    }

    private sealed class Scripted : IFlamingo
    {
        public FlamingoRequest? Asked { get; private set; }

        public Exception? Refusal { get; set; }

        public async IAsyncEnumerable<AnswerEvent> GenerateAsync(FlamingoRequest request, [EnumeratorCancellation] CancellationToken cancellation)
        {
            if (Refusal is not null) throw Refusal;
            Asked = request;
            await Task.Yield();
            yield return new Stages.PicturesResolved([], default, default, default);
            yield return new Stages.AnswerTokens("a", [1]) { LogProbabilities = [new(1, -0.5f, [])] };
            yield return new Stages.AnswerTokens("a cat", [1, 3]) { Sample = 1, Attention = [new(0, TensorData.FromFloats([1], 1), TensorData.FromFloats([1, 0, 0, 0], 2, 2))] };
            yield return new Stages.AnswerTokens(" dog", [2]);
            yield return new Stages.AnswerFinished(Stages.FinishReason.Stop, 7, 4, 0, new(default, default, default, default, default, default), new("v", "r", "l")) { CachedTokens = 5 };
        }

        public Task<FlamingoRanking> RankAsync(FlamingoRankRequest request, CancellationToken cancellation) => throw new NotSupportedException();

        public Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request, CancellationToken cancellation) => throw new NotSupportedException();

        public Task<FlamingoModel> GetModelAsync(CancellationToken cancellation) => throw new NotSupportedException();
    }
}
