using Flamingo.Abstractions;
using Flamingo.Gateway.Eviction;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Prompts;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.SupportSets;

/// <summary>Tests prompts with shots from a support set through the whole pipeline, with scripted stages.</summary>
public sealed class PromptTests : IAsyncDisposable
{
    private readonly Stage _stage = new();
    private readonly ServiceProvider _services;
    private readonly IFlamingo _flamingo;
    private readonly ISupportSets _sets;

    public PromptTests()
    {
        _services = _stage.Services(("Gateway:MaxPicturesPerRequest", "4"));
        (_flamingo, _sets) = (_services.GetRequiredService<IFlamingo>(), _services.GetRequiredService<ISupportSets>());
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => _services.DisposeAsync();

    [Fact]
    public async Task Shots_stand_before_the_query_each_with_its_text_and_an_end_of_chunk()
    {
        var set = await PutAsync(1, 2, 3, 4, 5);
        Assert.Equal((1L, 5), (set.Version, set.ExampleCount));
        Assert.Equal([PictureId.Of([1]), PictureId.Of([2])], set.Examples.Take(2).Select(example => example.PictureId));
        Assert.Equal([4, 1], _stage.Encodes); // encoded when the set was stored, in calls of at most the pictures of one request

        var resolved = await AskAsync(new SupportSetChoice("animals", ShotSelection.First, 2), Picture(9), new FlamingoText("This is"));
        Assert.Equal([PictureId.Of([1]), PictureId.Of([2]), PictureId.Of([9])], resolved.Pictures.Select(picture => picture.Id));
        Assert.Equal([PictureSource.Memory, PictureSource.Memory, PictureSource.Encoded],
            resolved.Pictures.Select(picture => picture.Source));
        Assert.Equal((2, 0, 1, 0), (resolved.Cache.MemoryHits, resolved.Cache.RedisHits, resolved.Cache.Encoded, resolved.Cache.Waits));
        Assert.Equal(("animals", 1L), (resolved.Shots!.Name, resolved.Shots.Version));
        Assert.Equal([0, 1], resolved.Shots.Examples);
        Assert.Equal(["1", "a 1<|endofchunk|>", "2", "a 2<|endofchunk|>", "9", "This is"], Told(_stage.Prompts.Last()));
    }

    [Fact]
    public async Task Rices_asks_by_the_querys_last_picture_and_encodes_it_once()
    {
        await PutAsync(1, 2, 3);
        _stage.Encodes.Clear();
        // The scripted embedding is [value, 0, 0] scaled to length one, so all examples are equally similar, and the first ones
        // of the set come last in the prompt.
        var resolved = await AskAsync(new SupportSetChoice("animals", ShotSelection.Rices, 2), Picture(8), Picture(9),
            new FlamingoText("x"));
        Assert.Equal([1, 0], resolved.Shots!.Examples);
        Assert.Equal([2], _stage.Encodes);
        Assert.Equal((2, 2), (resolved.Cache.MemoryHits, resolved.Cache.Encoded));
    }

    [Fact]
    public async Task Latents_that_were_evicted_are_made_again_from_the_sets_own_files()
    {
        await PutAsync(1, 2);
        Empty();
        _stage.Encodes.Clear();
        var resolved = await AskAsync(new SupportSetChoice("animals"), Picture(9));
        Assert.All(resolved.Pictures, picture => Assert.Equal(PictureSource.Encoded, picture.Source));
        Assert.Equal([3], _stage.Encodes);
    }

    [Fact]
    public async Task An_unknown_id_in_the_query_is_named_even_beside_evicted_shots()
    {
        await PutAsync(1);
        Empty();
        var refusal = await RefusedAsync(new SupportSetChoice("animals"), new FlamingoPictureId(PictureId.Of([7])), new FlamingoText("x"));
        Assert.Equal(FlamingoErrorKind.NotFound, refusal.Kind);
        Assert.Equal([PictureId.Of([7])], refusal.Missing);
    }

    [Fact]
    public async Task Embeddings_of_another_checkpoint_are_made_anew()
    {
        await PutAsync(1, 2, 3);
        _stage.Vision = _stage.Vision with { WeightsDigest = "vision-2" };
        _services.GetRequiredService<Flamingo.Gateway.Stages.StageDescriptions>().Forget();
        _stage.Encodes.Clear();
        await AskAsync(new SupportSetChoice("animals", ShotSelection.Rices, 1), Picture(9));
        Assert.Equal(4, _stage.Encodes.Sum());
        _stage.Encodes.Clear();
        await AskAsync(new SupportSetChoice("animals", ShotSelection.Rices, 1), Picture(9));
        Assert.Empty(_stage.Encodes);
    }

    [Theory]
    [InlineData("nothing", ShotSelection.All, 0, 0L, FlamingoErrorKind.NotFound, null)]
    [InlineData("animals", ShotSelection.All, 0, 7L, FlamingoErrorKind.NotFound, null)]
    [InlineData("animals", ShotSelection.First, 6, 0L, FlamingoErrorKind.InvalidArgument, "support_set.count")]
    // five pictures with the query's, and the gateway accepts four
    [InlineData("animals", ShotSelection.First, 4, 0L, FlamingoErrorKind.InvalidArgument, "support_set.count")]
    [InlineData("animals", ShotSelection.Random, 0, 0L, FlamingoErrorKind.InvalidArgument, "support_set.count")]
    [InlineData("animals", ShotSelection.All, 1, 0L, FlamingoErrorKind.InvalidArgument, "support_set.count")]
    [InlineData("animals", ShotSelection.First, 1, -1L, FlamingoErrorKind.InvalidArgument, "support_set.version")]
    [InlineData("an/mals", ShotSelection.First, 1, 0L, FlamingoErrorKind.InvalidArgument, "support_set.name")]
    [InlineData("animals", (ShotSelection)9, 1, 0L, FlamingoErrorKind.InvalidArgument, "support_set.selection")]
    public async Task A_choice_that_does_not_fit_is_refused_by_field(string name, ShotSelection selection, int count, long version,
        FlamingoErrorKind kind, string? field)
    {
        await PutAsync(1, 2, 3, 4, 5);
        var refusal = await RefusedAsync(new SupportSetChoice(name, selection, count, Version: version), Picture(9));
        Assert.Equal(kind, refusal.Kind);
        if (field is not null) Assert.Equal(field, Assert.Single(refusal.Faults).Field);
    }

    [Fact]
    public async Task Rices_without_a_picture_or_an_embedding_is_refused()
    {
        await PutAsync(1);
        Assert.Equal("segments", Assert.Single(
            (await RefusedAsync(new SupportSetChoice("animals", ShotSelection.Rices, 1), new FlamingoText("x"))).Faults).Field);
        await using var blind = new Stage { Vision = _stage.Vision with { PooledWidth = 0 } }.Services();
        Assert.Equal("support_set.selection",
            Assert.Single((await Assert.ThrowsAsync<FlamingoException>(() => blind.GetRequiredService<IFlamingo>()
            .GenerateAsync(new FlamingoRequest([Picture(9)],
                new SamplingParameters()) { SupportSet = new SupportSetChoice("animals", ShotSelection.Rices, 1) }, Cancellation)
                .ToListAsync().AsTask())).Faults).Field);
    }

    [Fact]
    public async Task All_that_is_wrong_with_a_new_set_is_said_at_once()
    {
        var refusal = await Assert.ThrowsAsync<FlamingoException>(() => _sets.PutAsync(new PutSupportSet(
            "a b",
            [new SupportExample(Picture(1), ""), new SupportExample(new FlamingoPicture(new byte[101]), "x<image>"),
                new SupportExample(Picture(2), "x<|endofchunk|>"),
                new SupportExample(new FlamingoVideo(new VisualInput([new byte[1]], 2)), "x")],
            TimeSpan.Zero, -1), Cancellation));
        Assert.Equal(
            ["name", "time_to_live", "expected_version", "examples[0].text", "examples[1].picture", "examples[1].text", "examples[2].text",
                "examples[3].video"],
            refusal.Faults.Select(fault => fault.Field));
        Assert.Equal("examples", Assert.Single(
            (await Assert.ThrowsAsync<FlamingoException>(() => _sets.PutAsync(new PutSupportSet("a", []), Cancellation))).Faults).Field);
        Assert.Equal("examples[1].picture", Assert.Single((await Assert.ThrowsAsync<FlamingoException>(() => _sets.PutAsync(
            new PutSupportSet("a", [new SupportExample(Picture(1), "x"), new SupportExample(Picture(Stage.Broken), "x")]),
            Cancellation))).Faults).Field);
        Assert.Empty(await _sets.ListAsync("", Cancellation));
    }

    [Fact]
    public async Task A_tenants_set_picture_and_prefix_are_its_own()
    {
        await _sets.PutAsync(new PutSupportSet("animals", [new SupportExample(Picture(1), "a 1")]) { Tenant = "a" }, Cancellation);
        Assert.Equal(FlamingoErrorKind.NotFound,
            (await Assert.ThrowsAsync<FlamingoException>(() => _sets.GetAsync("b", "animals", Cancellation))).Kind);
        Assert.Equal(FlamingoErrorKind.NotFound, (await RefusedAsync(new SupportSetChoice("animals"), Picture(9))).Kind);
        Assert.Equal("a 1", (await _sets.GetAsync("a", "animals", Cancellation)).Examples.Single().Text);

        _stage.Encodes.Clear();
        await AskAsAsync("a", Picture(1));
        var prefix = _stage.Asked!.Tenant;
        Assert.Empty(_stage.Encodes);
        await AskAsAsync("b", Picture(1));
        Assert.Equal([1], _stage.Encodes);
        Assert.NotEqual(prefix, _stage.Asked.Tenant);
        Assert.Equal(FlamingoErrorKind.NotFound,
            (await Assert.ThrowsAsync<FlamingoException>(() => AskAsAsync("c", new FlamingoPictureId(PictureId.Of([1]))))).Kind);

        Task<List<AnswerEvent>> AskAsAsync(string tenant, FlamingoVisual picture) =>
            _flamingo.GenerateAsync(new FlamingoRequest([picture], new SamplingParameters()) { Tenant = tenant }, Cancellation)
                .ToListAsync().AsTask();
    }

    [Fact]
    public async Task An_ensemble_is_the_mean_over_orders_of_the_shots()
    {
        await PutAsync(1, 2, 3);
        _stage.Score = prompt => -Told(prompt).ToList().IndexOf("1"); // -0, -2 or -4, depending on the position of the first shot
        var ranking = await _flamingo.RankAsync(
            new FlamingoRankRequest([Picture(9)],
                ["x", "y"]) { SupportSet = new SupportSetChoice("animals"), Ensemble = new Ensemble(6, 1) }, Cancellation);
        var prompts = _stage.Prompts.Select(Told).Select(told => string.Join(' ', told)).ToList();
        Assert.Equal(6, prompts.Count);
        Assert.Equal("1 a 1<|endofchunk|> 2 a 2<|endofchunk|> 3 a 3<|endofchunk|> 9", prompts[0]);
        Assert.All(prompts, prompt => Assert.EndsWith(" 9", prompt, StringComparison.Ordinal));
        var expected = _stage.Prompts.Average(prompt => _stage.Score(prompt));
        Assert.NotEqual(0, expected);
        Assert.All(ranking.Candidates, candidate => Assert.Equal(expected, Assert.Single(candidate.TokenLogLikelihoods), 1e-6));
        Assert.Equal((30, 18), (ranking.PromptTokens, ranking.CachedTokens));
        Assert.Equal([0, 1, 2], ranking.Shots!.Examples);
    }

    [Fact]
    public async Task An_ensemble_without_a_set_or_of_absurd_size_is_refused()
    {
        var refusal = await Assert.ThrowsAsync<FlamingoException>(
            () => _flamingo.RankAsync(new FlamingoRankRequest([Picture(9)], ["x"]) { Ensemble = new Ensemble(1000, 1) }, Cancellation));
        Assert.Equal(["ensemble", "ensemble.permutations"], refusal.Faults.Select(fault => fault.Field));
    }

    [Fact]
    public async Task Attention_is_told_of_the_last_shot_where_the_query_has_no_picture()
    {
        await PutAsync(1, 2);
        var answer = await _flamingo.GenerateAsync(
            new FlamingoRequest([new FlamingoText("x")],
                new SamplingParameters()) { SupportSet = new SupportSetChoice("animals"), Attention = new AttentionChoice([], []) },
                Cancellation).ToListAsync();
        Assert.All(answer.OfType<AnswerTokens>().SelectMany(tokens => tokens.Attention), map => Assert.Equal(1, map!.Picture));
    }

    private Task<SupportSet> PutAsync(params byte[] pictures) =>
        _sets.PutAsync(new PutSupportSet("animals", [.. pictures.Select(picture => new SupportExample(Picture(picture), $"a {picture}"))]),
            Cancellation);

    private async Task<PicturesResolved> AskAsync(SupportSetChoice choice, params FlamingoSegment[] segments) =>
        (PicturesResolved)(await _flamingo.GenerateAsync(new FlamingoRequest(segments, new SamplingParameters()) { SupportSet = choice },
            Cancellation).ToListAsync())[0];

    private Task<FlamingoException> RefusedAsync(SupportSetChoice choice, params FlamingoSegment[] segments) =>
        Assert.ThrowsAsync<FlamingoException>(() => AskAsync(choice, segments));

    // One large value evicts all others.
    private void Empty()
    {
        var large = ChecksummedLatents.Of(TensorData.FromFloats(new float[64 << 20], 64 << 20));
        _services.GetRequiredService<TinyLfuCache<LatentValue>>().Put("large", new LatentValue(large, TimeSpan.Zero));
    }

    private static IEnumerable<string> Told(IReadOnlyList<PromptSegment> prompt) => prompt.Select(segment => segment switch
    {
        TextSegment text => text.Text,
        PictureSegment picture => Told(picture),
        _ => throw new InvalidOperationException(),
    });

    private static readonly Dictionary<string, string> Names = [];

    // The scripted resampler repeats the file's first byte. Latents are sent once, and only the key afterwards.
    private static string Told(PictureSegment picture)
    {
        lock (Names)
        {
            if (picture.Latents is { } latents) Names[picture.Key] = $"{latents.Tensor.ToFloats()[0]}";
            return Names[picture.Key];
        }
    }
}
