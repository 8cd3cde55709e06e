using Flamingo.Client;
using Flamingo.Protos.V1;
using Flamingo.Abstractions;
using Flamingo.Stages;
using Grpc.Core;
using FlamingoException = Flamingo.Client.FlamingoException;

namespace Flamingo.SystemTests.Client;

/// <summary>Pictures travel once, and again by themselves when the service has lost them.</summary>
public sealed class PictureResendTests : IAsyncLifetime
{
    private static readonly byte[] Dog = [1, 1, 1], Cat = [2, 2, 2], Bird = [3, 3, 3];

    private ScriptedGateway _gateway = null!;
    private FlamingoClient _client = null!;

    public async ValueTask InitializeAsync()
    {
        _gateway = await ScriptedGateway.StartAsync();
        _client = new FlamingoClient(_gateway.Address);
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _gateway.DisposeAsync();
    }

    [Theory(Timeout = 60_000)]
    [InlineData("generate")]
    [InlineData("rank")]
    [InlineData("encode")]
    [InlineData("chat")]
    public async Task Bytes_travel_once_whatever_is_called_and_an_eviction_costs_one_more_call(string call)
    {
        await AskAsync(call);
        Assert.Equal("dog cat clip frames", Kinds()); // the first time as bytes
        await AskAsync("generate");
        await AskAsync("rank");
        await AskAsync("encode");
        await AskAsync("chat");
        Assert.Equal(Enumerable.Repeat("id id id id", 4), [Kinds(), Kinds(), Kinds(), Kinds()]);

        _gateway.Evict(PictureId.Of(Cat), PictureId.Of(Clip(0)));
        await AskAsync(call);
        Assert.Equal(["id id id id", "id cat clip id"], [Kinds(), Kinds()]);
        await AskAsync(call);
        Assert.Equal("id id id id", Kinds());
        Assert.Empty(_gateway.Asked);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_picture_that_stands_twice_goes_with_its_bytes_again_at_both_places()
    {
        var prompt = new Prompt().Picture(Dog).Text("a").Picture(Dog).Text("b");
        await _client.GenerateAsync(prompt, cancellation: TestContext.Current.CancellationToken);
        await _client.GenerateAsync(prompt, cancellation: TestContext.Current.CancellationToken);
        _gateway.Evict(PictureId.Of(Dog));
        await _client.GenerateAsync(prompt, cancellation: TestContext.Current.CancellationToken);
        Assert.Equal(["dog dog", "id id", "id id", "dog dog"], [Kinds(), Kinds(), Kinds(), Kinds()]);
    }

    [Fact(Timeout = 60_000)]
    public async Task More_that_is_evicted_meanwhile_is_sent_the_second_time_and_then_it_ends()
    {
        var prompt = new Prompt().Picture(Dog).Picture(Cat).Picture(Bird).Text("x");
        await _client.GenerateAsync(prompt, cancellation: TestContext.Current.CancellationToken);
        Assert.Equal("dog cat bird", Kinds());
        var looks = 0;
        _gateway.Looking = () => _gateway.Evict(PictureId.Of(++looks == 1 ? Dog : Cat));
        await _client.GenerateAsync(prompt, cancellation: TestContext.Current.CancellationToken);
        Assert.Equal(["id id id", "dog id id", "dog cat bird"], [Kinds(), Kinds(), Kinds()]);
    }

    [Fact(Timeout = 60_000)]
    public async Task An_id_without_bytes_comes_through_and_names_only_what_the_caller_must_send()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await _client.EncodeAsync([Dog], cancellation: cancellation);
        Assert.Equal("dog", Kinds());
        _gateway.Evict(PictureId.Of(Dog));
        var missing = await Assert.ThrowsAsync<FlamingoException>(() => _client.GenerateAsync(new Prompt().Picture(Dog).PictureId(PictureId.Of(Cat)).Text("x"), cancellation: cancellation));
        Assert.Equal((StatusCode.NotFound, PictureId.Of(Cat)), (missing.StatusCode, Assert.Single(missing.MissingPictures)));
        Assert.Equal(["id id", "dog id"], [Kinds(), Kinds()]);

        missing = await Assert.ThrowsAsync<FlamingoException>(() => _client.EncodeAsync(new EncodeRequest { Pictures = { new Visual { PictureId = PictureId.Of(Bird) } } }, cancellation));
        Assert.Equal(PictureId.Of(Bird), Assert.Single(missing.MissingPictures));
        Assert.Equal("id", Kinds());
        Assert.Empty(_gateway.Asked);
    }

    [Fact(Timeout = 60_000)]
    public async Task An_answer_that_has_begun_is_never_asked_for_again()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await _client.EncodeAsync([Dog], cancellation: cancellation);
        _gateway.Asked.Clear();
        _gateway.Breaks = new Abstractions.FlamingoException(FlamingoErrorKind.NotFound, "Gone in mid-answer.") { Missing = [PictureId.Of(Dog)] };
        var seen = new List<GenerateResponse.EventOneofCase>();
        var broken = await Assert.ThrowsAsync<FlamingoException>(async () =>
        {
            await foreach (var message in _client.StreamAsync(new Prompt().Picture(Dog).Text("x"), cancellation: cancellation)) seen.Add(message.EventCase);
        });
        Assert.Equal(StatusCode.NotFound, broken.StatusCode);
        Assert.Equal([GenerateResponse.EventOneofCase.Pictures, GenerateResponse.EventOneofCase.Tokens], seen);
        Assert.Equal("id", Kinds());
        Assert.Empty(_gateway.Asked);
    }

    [Fact(Timeout = 60_000)]
    public async Task The_callers_messages_stay_as_they_are()
    {
        var request = new GenerateRequest { Segments = { new Prompt().Picture(Dog).Text("x").Segments } };
        var before = request.Clone();
        await _client.GenerateAsync(request, TestContext.Current.CancellationToken);
        await _client.GenerateAsync(request, TestContext.Current.CancellationToken);
        Assert.Equal(before, request);
        Assert.Equal(["dog", "id"], [Kinds(), Kinds()]);
    }

    [Fact(Timeout = 60_000)]
    public async Task One_tenants_pictures_are_sent_anew_for_another()
    {
        var cancellation = TestContext.Current.CancellationToken;
        using var other = new FlamingoClient(_gateway.Address, "other");
        await _client.EncodeAsync([Dog], cancellation: cancellation);
        await other.EncodeAsync([Dog], cancellation: cancellation);
        Assert.Equal(["dog", "dog"], [Kinds(), Kinds()]);
    }

    [Fact(Timeout = 60_000)]
    public async Task Any_number_of_pictures_pass_and_those_not_asked_for_longest_are_forgotten()
    {
        var cancellation = TestContext.Current.CancellationToken;
        static byte[] Numbered(int number) => BitConverter.GetBytes(number);
        await _client.EncodeAsync([Dog], cancellation: cancellation);
        for (var start = 0; start < 16_384; start += 4096) // as many as the client remembers besides
            await _client.EncodeAsync(Enumerable.Range(start, 4096).Select(number => (ReadOnlyMemory<byte>)Numbered(number)), cancellation: cancellation);
        _gateway.Asked.Clear();
        await _client.EncodeAsync([Numbered(16_383), Dog], cancellation: cancellation);
        Assert.Equal("id dog", Kinds());
    }

    private static Protos.V1.VisualInput Clip(int most) => new() { Files = { Google.Protobuf.ByteString.CopyFrom(7, 7) }, MaxFrames = most };

    private Task AskAsync(string call)
    {
        var cancellation = TestContext.Current.CancellationToken;
        var prompt = new Prompt().Picture(Dog).Text("a").Picture(Cat).Video(new byte[] { 7, 7 }).Video([new byte[] { 8 }, new byte[] { 9 }], 2).Text("b");
        return call switch
        {
            "generate" => _client.GenerateAsync(prompt, cancellation: cancellation),
            "rank" => _client.RankAsync(prompt, ["y"], cancellation),
            "chat" => _client.ChatAsync(new ChatRequest { Turns = { new Protos.V1.ChatTurn { Text = "a", Visuals = { Shown().Take(1) }, Reply = "b" }, new Protos.V1.ChatTurn { Text = "c", Visuals = { Shown().Skip(1) } } } }, cancellation),
            _ => _client.EncodeAsync(new EncodeRequest { Pictures = { Shown() } }, cancellation),
        };

        IEnumerable<Visual> Shown() => prompt.Segments.Where(segment => !segment.HasText).Select(segment => segment.Video is { } video ? new Visual { Video = video } : new Visual { Picture = segment.Picture });
    }

    // how the pictures of the next request on the list travelled
    private string Kinds()
    {
        Assert.True(_gateway.Asked.TryDequeue(out var asked), "A request was expected.");
        var pictures = asked switch
        {
            FlamingoRequest request => request.Segments.OfType<FlamingoVisual>(),
            FlamingoRankRequest request => request.Segments.OfType<FlamingoVisual>(),
            ChatTask task => task.Turns.SelectMany(turn => turn.Visuals),
            _ => ((FlamingoEncodeRequest)asked).Pictures,
        };
        return string.Join(' ', pictures.Select(picture => picture switch
        {
            FlamingoPictureId => "id",
            FlamingoPicture still => still.Bytes.Span[0] switch { 1 => "dog", 2 => "cat", _ => "bird" },
            FlamingoVideo { Input: { Files.Count: 2, MaxFrames: 2 } } => "frames",
            _ => "clip",
        }));
    }
}
