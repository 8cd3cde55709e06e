using Flamingo.Abstractions;

namespace Flamingo.Client.Tests;

/// <summary>The client sends a picture's bytes once, and sends them again if the service has evicted the picture.</summary>
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
        Assert.Equal("dog cat clip frames", Kinds()); // the first request sends bytes
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
        await _client.CompleteAsync(prompt, cancellation: TestContext.Current.CancellationToken);
        await _client.CompleteAsync(prompt, cancellation: TestContext.Current.CancellationToken);
        _gateway.Evict(PictureId.Of(Dog));
        await _client.CompleteAsync(prompt, cancellation: TestContext.Current.CancellationToken);
        Assert.Equal(["dog dog", "id id", "id id", "dog dog"], [Kinds(), Kinds(), Kinds(), Kinds()]);
    }

    [Fact(Timeout = 60_000)]
    public async Task More_that_is_evicted_meanwhile_is_sent_the_second_time_and_then_it_ends()
    {
        var prompt = new Prompt().Picture(Dog).Picture(Cat).Picture(Bird).Text("x");
        await _client.CompleteAsync(prompt, cancellation: TestContext.Current.CancellationToken);
        Assert.Equal("dog cat bird", Kinds());
        var looks = 0;
        _gateway.Looking = () => _gateway.Evict(PictureId.Of(++looks == 1 ? Dog : Cat));
        await _client.CompleteAsync(prompt, cancellation: TestContext.Current.CancellationToken);
        Assert.Equal(["id id id", "dog id id", "dog cat bird"], [Kinds(), Kinds(), Kinds()]);
    }

    [Theory(Timeout = 60_000)]
    [InlineData(64)]
    [InlineData(65)] // more than an error can name
    public async Task Any_number_of_evicted_pictures_is_sent_again_with_one_more_call(int count)
    {
        var cancellation = TestContext.Current.CancellationToken;
        var pictures = Enumerable.Range(0, count + 1).Select(index => new byte[] { 1, (byte)index }).ToList();
        await _client.EncodeAsync(pictures.Select(picture => (ReadOnlyMemory<byte>)picture), cancellation: cancellation);
        Assert.DoesNotContain("id", Kinds(), StringComparison.Ordinal);
        _gateway.Evict(pictures.Take(count).Select(picture => PictureId.Of(picture)));
        await _client.EncodeAsync(pictures.Select(picture => (ReadOnlyMemory<byte>)picture), cancellation: cancellation);
        Assert.DoesNotContain("dog", Kinds(), StringComparison.Ordinal);
        Assert.Equal(count <= 64 ? count : count + 1, Kinds().Split(' ').Count(kind => kind == "dog")); // for 65, all are sent again
        Assert.Empty(_gateway.Asked);
    }

    [Fact(Timeout = 60_000)]
    public async Task An_id_without_bytes_comes_through_and_names_only_what_the_caller_must_send()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await _client.EncodeAsync([Dog], cancellation: cancellation);
        Assert.Equal("dog", Kinds());
        _gateway.Evict(PictureId.Of(Dog));
        var missing = await Assert.ThrowsAsync<FlamingoException>(
            () => _client.CompleteAsync(new Prompt().Picture(Dog).PictureId(PictureId.Of(Cat)).Text("x"), cancellation: cancellation));
        Assert.Equal((FlamingoErrorKind.NotFound, PictureId.Of(Cat)), (missing.Kind, Assert.Single(missing.Missing)));
        Assert.Equal(["id id", "dog id"], [Kinds(), Kinds()]);

        missing = await Assert.ThrowsAsync<FlamingoException>(
            () => _client.EncodeAsync(new FlamingoEncodeRequest([new FlamingoPictureId(PictureId.Of(Bird))]), cancellation));
        Assert.Equal(PictureId.Of(Bird), Assert.Single(missing.Missing));
        Assert.Equal("id", Kinds());
        Assert.Empty(_gateway.Asked);
    }

    [Fact(Timeout = 60_000)]
    public async Task An_answer_that_has_begun_is_never_asked_for_again()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await _client.EncodeAsync([Dog], cancellation: cancellation);
        _gateway.Asked.Clear();
        _gateway.Breaks = new FlamingoException(FlamingoErrorKind.NotFound, "Gone in mid-answer.") { Missing = [PictureId.Of(Dog)] };
        var seen = new List<Type>();
        var broken = await Assert.ThrowsAsync<FlamingoException>(async () =>
        {
            await foreach (var item in _client.GenerateAsync(new Prompt().Picture(Dog).Text("x"), cancellation: cancellation))
                seen.Add(item.GetType());
        });
        Assert.Equal(FlamingoErrorKind.NotFound, broken.Kind);
        Assert.Equal([typeof(PicturesResolved), typeof(AnswerTokens)], seen);
        Assert.Equal("id", Kinds());
        Assert.Empty(_gateway.Asked);
    }

    [Fact(Timeout = 60_000)]
    public async Task The_callers_requests_stay_as_they_are()
    {
        var segments = new Prompt().Picture(Dog).Text("x").Segments;
        var before = segments.ToList();
        var request = new FlamingoRequest(segments, new());
        await _client.CompleteAsync(request, TestContext.Current.CancellationToken);
        await _client.CompleteAsync(request, TestContext.Current.CancellationToken);
        Assert.Equal(before, request.Segments);
        Assert.Equal(["dog", "id"], [Kinds(), Kinds()]);
    }

    [Theory(Timeout = 60_000)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task One_tenants_pictures_are_sent_anew_for_another(bool byRequest)
    {
        var cancellation = TestContext.Current.CancellationToken;
        using var other = new FlamingoClient(new FlamingoClientOptions { Addresses = [_gateway.Address], Tenant = "other" });
        await _client.EncodeAsync([Dog], cancellation: cancellation);
        if (byRequest) await _client.EncodeAsync(new FlamingoEncodeRequest([new FlamingoPicture(Dog)]) { Tenant = "other" }, cancellation);
        else await other.EncodeAsync([Dog], cancellation: cancellation);
        Assert.Equal(["dog", "dog"], [Kinds(), Kinds()]);
    }

    [Fact(Timeout = 60_000)]
    public async Task Any_number_of_pictures_pass_and_those_not_asked_for_longest_are_forgotten()
    {
        var cancellation = TestContext.Current.CancellationToken;
        static byte[] Numbered(int number) => BitConverter.GetBytes(number);
        await _client.EncodeAsync([Dog], cancellation: cancellation);
        for (var start = 0; start < 16_384; start += 4096) // as many ids as the client remembers, in addition to the first one
            await _client.EncodeAsync(Enumerable.Range(start, 4096).Select(number => (ReadOnlyMemory<byte>)Numbered(number)),
                cancellation: cancellation);
        _gateway.Asked.Clear();
        await _client.EncodeAsync([Numbered(16_383), Dog], cancellation: cancellation);
        Assert.Equal("id dog", Kinds());
    }

    private static VisualInput Clip(int most) => new([new byte[] { 7, 7 }], most);

    private Task AskAsync(string call)
    {
        var cancellation = TestContext.Current.CancellationToken;
        var prompt = new Prompt().Picture(Dog).Text("a").Picture(Cat).Video(new byte[] { 7, 7 })
            .Video([new byte[] { 8 }, new byte[] { 9 }], 2).Text("b");
        return call switch
        {
            "generate" => _client.CompleteAsync(prompt, cancellation: cancellation),
            "rank" => _client.RankAsync(prompt, ["y"], cancellation),
            "chat" => _client.ReplyAsync(
                new ChatTask([new([.. Shown().Take(1)], "a", "b"), new([.. Shown().Skip(1)], "c")], new()), cancellation),
            _ => _client.EncodeAsync(new FlamingoEncodeRequest([.. Shown()]), cancellation),
        };

        IEnumerable<FlamingoVisual> Shown() => prompt.Segments.OfType<FlamingoVisual>();
    }

    // Returns how the pictures of the next recorded request were sent: as "id", or as the name of the sent bytes.
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
