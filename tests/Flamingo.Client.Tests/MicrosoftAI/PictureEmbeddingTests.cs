using Flamingo.Abstractions;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.Client.Tests.MicrosoftAI;

/// <summary>The generator of pictures' embeddings over a scripted model behind a real gRPC port.</summary>
public sealed class PictureEmbeddingTests : IAsyncLifetime
{
    private static readonly DateTimeOffset Now = DateTimeOffset.FromUnixTimeSeconds(1_700_000_000);

    private ChatServer _server = null!;
    private IEmbeddingGenerator<DataContent, Embedding<float>> _generator = null!;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _server = await ChatServer.StartAsync();
        _generator = _server.Client.AsPictureEmbeddingGenerator(new FakeTimeProvider(Now));
    }

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Fact(Timeout = 60_000)]
    public async Task A_picture_becomes_its_pooled_embedding()
    {
        Assert.Null(_generator.GetService<EmbeddingGeneratorMetadata>()!.DefaultModelDimensions);
        var made = await _generator.GenerateAsync(
            [Picture("dog"), Picture("cat")], new() { Dimensions = 3, ModelId = "scripted", AdditionalProperties = new() { ["x"] = 1 } },
            Cancellation);
        Assert.Equal([[0, 0.5f, -1], [1, 0.5f, -1]], made.Select(one => one.Vector.ToArray()));
        Assert.All(made, one => Assert.Equal((Now, "scripted", 3), (one.CreatedAt, one.ModelId, one.Dimensions)));
        Assert.Equal((0, 2), (made.Usage!.InputTokenCount, made.Usage.AdditionalCounts!["pictures_encoded"]));
        var metadata = _generator.GetService<EmbeddingGeneratorMetadata>()!;
        Assert.Equal(
            ("flamingo", new Uri(_server.Address), "scripted", 3),
            (metadata.ProviderName, metadata.ProviderUri, metadata.DefaultModelId, metadata.DefaultModelDimensions));
        Assert.Same(_server.Client, _generator.GetService<FlamingoClient>());
        Assert.Null(_generator.GetService<FlamingoClient>("a key"));

        await _generator.GenerateAsync(
            [Picture("dog")], new() { RawRepresentationFactory = _ => new FlamingoEncodeRequest([]) { Tenant = "team-a" } }, Cancellation);
        Assert.Equal("team-a", _server.Flamingo.Encoded.Last().Tenant);
        Assert.Empty(await _generator.GenerateAsync([], cancellationToken: Cancellation));
        Assert.Equal(2, _server.Flamingo.Encoded.Count);
    }

    [Fact(Timeout = 60_000)]
    public async Task What_cannot_be_embedded_is_refused_by_its_place()
    {
        await RefusedAsync("values[1]", [Picture("dog"), new DataContent("x"u8.ToArray(), "text/plain")]);
        await RefusedAsync("values[0]", [null!]);
        await RefusedAsync("values[0]", [new DataContent(ReadOnlyMemory<byte>.Empty, "image/png")]);
        await RefusedAsync("options.Dimensions", [Picture("dog")], new() { Dimensions = 512 });
        await RefusedAsync("options.ModelId", [Picture("dog")], new() { ModelId = "clip" });
        await RefusedAsync("options.RawRepresentationFactory", [Picture("dog")], new() { RawRepresentationFactory = _ => "x" });
        Assert.Empty(_server.Flamingo.Encoded);

        async Task RefusedAsync(string place, DataContent[] values, EmbeddingGenerationOptions? options = null)
        {
            var refusal = await Assert.ThrowsAsync<FlamingoException>(() => _generator.GenerateAsync(values, options, Cancellation));
            Assert.Equal((FlamingoErrorKind.InvalidArgument, place), (refusal.Kind, Assert.Single(refusal.Faults).Field));
        }
    }

    private static DataContent Picture(string file) => new(System.Text.Encoding.UTF8.GetBytes(file), "image/png");
}
