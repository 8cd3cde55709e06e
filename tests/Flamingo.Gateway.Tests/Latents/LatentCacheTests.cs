using Flamingo.Abstractions;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Prompts;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Latents;

public sealed class LatentCacheTests : IAsyncDisposable
{
    private readonly Stage _stage = new();
    private readonly TaskCompletionSource _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ServiceProvider _services;
    private readonly IFlamingo _flamingo;

    public LatentCacheTests()
    {
        _services = _stage.Services();
        _flamingo = _services.GetRequiredService<IFlamingo>();
    }

    public ValueTask DisposeAsync() => _services.DisposeAsync();

    [Fact(Timeout = 30_000)]
    public async Task Many_requests_with_one_new_picture_cost_one_encoding()
    {
        _stage.Gate = _gate.Task;
        // Each request runs to its first wait before the next one begins, so all requests are in flight when the gate opens.
        var asked = Enumerable.Range(0, 16).Select(_ => _flamingo.SourcesAsync(Picture(1))).ToList();
        await _stage.Encoding.Task.WaitAsync(TestContext.Current.CancellationToken);
        _gate.SetResult();
        Assert.All(await Task.WhenAll(asked), sources => Assert.Equal([PictureSource.Encoded], sources));
        Assert.Equal([1], _stage.Encodes);
    }

    [Fact(Timeout = 30_000)]
    public async Task An_owner_that_leaves_does_not_fail_the_waiters()
    {
        _stage.Gate = _gate.Task;
        using var owner = new CancellationTokenSource();
        var left = _flamingo.EncodeAsync(new FlamingoEncodeRequest([Picture(1)]), owner.Token);
        await _stage.Encoding.Task.WaitAsync(TestContext.Current.CancellationToken);
        var waiter = _flamingo.SourcesAsync(Picture(1));
        await owner.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);
        _gate.SetResult();
        Assert.Equal([PictureSource.Encoded], await waiter);
        Assert.Equal([1], _stage.Encodes);
    }

    [Fact(Timeout = 30_000)]
    public async Task A_waiter_does_not_fail_for_another_requests_bad_picture()
    {
        _stage.Gate = _gate.Task;
        var bad = _flamingo.SourcesAsync(Picture(1), Picture(Stage.Broken));
        await _stage.Encoding.Task.WaitAsync(TestContext.Current.CancellationToken);
        var good = _flamingo.SourcesAsync(new FlamingoText("x"), Picture(1));
        _gate.SetResult();
        Assert.Equal("segments[1].picture", Assert.Single((await Assert.ThrowsAsync<FlamingoException>(() => bad)).Faults).Field);
        Assert.Equal([PictureSource.Encoded], await good);
    }

    [Fact]
    public async Task A_question_has_one_answer_per_picture_in_order_and_asks_once_for_the_files_of_all_that_are_missing()
    {
        await _flamingo.AskAsync(Picture(3));
        RequestedPicture Known(byte picture) => new(PictureId.Of([picture]), null, $"picture {picture}");
        var asked = new List<string>();
        Task<IReadOnlyDictionary<string, VisualInput>> FilesAsync(IReadOnlyCollection<string> ids)
        {
            asked.Add(string.Join(' ', ids));
            byte[] files = [1, 2, 3];
            return Task.FromResult<IReadOnlyDictionary<string, VisualInput>>(
                files.ToDictionary(file => PictureId.Of([file]), file => VisualInput.Still(new[] { file })));
        }

        var cache = _services.GetRequiredService<LatentCache>();
        Task<IReadOnlyList<PictureLatents>> AskAsync(params byte[] pictures) => cache.GetOrEncodeAsync(
            [.. pictures.Select(Known)], Tenant.Of("", ""), TestContext.Current.CancellationToken, FilesAsync);

        var answers = await AskAsync(2, 1, 3, 2);
        Assert.Equal([2, 1, 3, 2], answers.Select(answer => answer.Latents.Tensor.ToFloats()[0]));
        Assert.Equal(
            [PictureSource.Encoded, PictureSource.Encoded, PictureSource.Memory, PictureSource.Encoded],
            answers.Select(answer => answer.Source));
        Assert.Equal([$"{PictureId.Of([2])} {PictureId.Of([1])}"], asked); // called once, and only for pictures that are not held
        Assert.Equal(new CacheUse(1, 0, 2, 0, answers[2].Cost), PictureLatents.Use(answers)); // counts distinct pictures
        await AskAsync(1, 2, 3);
        Assert.Single(asked);

        var refusal = await Assert.ThrowsAsync<FlamingoException>(() => AskAsync(1, 8, 9));
        Assert.Equal([PictureId.Of([8]), PictureId.Of([9])], refusal.Missing);
    }

    [Fact(Timeout = 30_000)]
    public async Task Whoever_needs_more_than_is_being_encoded_waits_and_then_encodes_it_for_the_latents_that_are_held()
    {
        _stage.Gate = _gate.Task;
        var plain = _flamingo.SourcesAsync(Picture(1));
        await _stage.Encoding.Task.WaitAsync(TestContext.Current.CancellationToken);
        var pooled = _flamingo.EncodeAsync(
            new FlamingoEncodeRequest([Picture(1)], IncludePooled: true), TestContext.Current.CancellationToken);
        Assert.Equal([1], _stage.Encodes); // one picture per call
        _gate.SetResult();
        Assert.Equal([PictureSource.Encoded], await plain);
        var answer = await pooled;
        Assert.Equal([1, 0, 0], Assert.Single(answer.Pooled).ToFloats());
        Assert.Equal([1, 1], _stage.Encodes);
        Assert.Equal((1, 1), (answer.Cache.Encoded, answer.Cache.Waits));
    }

    [Fact]
    public async Task An_answer_of_other_weights_has_its_own_key_and_is_not_kept()
    {
        await _flamingo.AskAsync(Picture(9));
        _stage.VisionAnswers = "vision-2";
        var answer = await _flamingo.AskAsync(Picture(1), Picture(9));
        // the digest of the weights that computed the answer, not the described one
        Assert.Equal("vision-2", ((AnswerFinished)answer[^1]).Digests.Vision);
        var first = ((PictureSegment)_stage.Prompts.Last()[0]).Key;
        Assert.Equal(1, _stage.Describes);

        _stage.VisionAnswers = null;
        // nothing was stored under the key of the old weights
        Assert.Equal([PictureSource.Encoded], await _flamingo.SourcesAsync(Picture(1)));
        Assert.Equal(2, _stage.Describes);
        Assert.NotEqual(first, ((PictureSegment)_stage.Prompts.Last()[0]).Key);

        _stage.VisionAnswers = "vision-2";
        await _flamingo.AskAsync(Picture(2));
        _stage.Vision = _stage.Vision with { WeightsDigest = "vision-2" };
        await _flamingo.AskAsync(Picture(1));
        Assert.Equal(first, ((PictureSegment)_stage.Prompts.Last()[0]).Key); // the key under the weights that computed the latents
    }

    [Fact]
    public async Task An_answer_names_the_weights_that_made_its_latents()
    {
        Assert.Equal("vision-1", await VisionDigestAsync(Picture(1)));
        _stage.VisionAnswers = "vision-2";
        // one picture from memory, one encoded by the replaced stage
        Assert.Equal("vision-2", await VisionDigestAsync(Picture(1), Picture(2)));
        Assert.Equal("vision-1", await VisionDigestAsync(Picture(1)));
        Assert.Equal("vision-2", (await _flamingo.EncodeAsync(new FlamingoEncodeRequest([Picture(3)]),
            TestContext.Current.CancellationToken)).Digests.Vision);

        async Task<string> VisionDigestAsync(
            params FlamingoSegment[] segments) => ((AnswerFinished)(await _flamingo.AskAsync(segments))[^1]).Digests.Vision;
    }

    [Fact]
    public async Task Stages_that_do_not_fit_are_refused_naming_both_and_may_be_replaced()
    {
        var fitting = _stage.Resampler;
        _stage.Resampler = fitting with { FeatureWidth = 7 };
        var refusal = await Assert.ThrowsAsync<FlamingoException>(() => _flamingo.AskAsync(Picture(1)));
        Assert.Equal(FlamingoErrorKind.Mismatch, refusal.Kind);
        Assert.Contains("width 6", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("reads width 7", refusal.Message, StringComparison.Ordinal);
        _stage.Resampler = fitting with { Latents = 3 };
        Assert.Contains("[3, 5]", (await Assert.ThrowsAsync<FlamingoException>(() => _flamingo.AskAsync(Picture(1)))).Message,
            StringComparison.Ordinal);
        _stage.Resampler = fitting;
        Assert.Equal([PictureSource.Encoded], await _flamingo.SourcesAsync(Picture(1)));
    }

    [Fact]
    public async Task A_stage_replaced_by_one_that_does_not_fit_is_no_fault_of_the_caller()
    {
        await _flamingo.AskAsync(Picture(1));
        var fitting = _stage.Resampler;
        _stage.Resampler = fitting with { FeatureWidth = 7 };
        var refusal = await Assert.ThrowsAsync<FlamingoException>(() => _flamingo.AskAsync(Picture(2)));
        Assert.Equal((FlamingoErrorKind.Mismatch, true),
            (refusal.Kind, refusal.Message.Contains("reads width 7", StringComparison.Ordinal)));
        _stage.Resampler = fitting;
        await _flamingo.AskAsync(Picture(2));

        var (language, segments) = (_stage.Language, new FlamingoSegment[] { Picture(1) });
        _stage.Language = language with { LatentWidth = 9 };
        _stage.PromptFails = FlamingoException.Invalid("segments[0].latents", "The shape is [2, 5].", "Send [2, 9].");
        Assert.Contains("[2, 9]", (await Assert.ThrowsAsync<FlamingoException>(() => _flamingo.AskAsync(segments))).Message,
            StringComparison.Ordinal);
        _stage.Language = language; // replaced again before the gateway reads the descriptions
        await _flamingo.GetModelAsync(TestContext.Current.CancellationToken);
        refusal = await Assert.ThrowsAsync<FlamingoException>(
            () => _flamingo.RankAsync(new FlamingoRankRequest(segments, ["a"]), TestContext.Current.CancellationToken));
        Assert.Equal((FlamingoErrorKind.Mismatch, 0), (refusal.Kind, refusal.Faults.Count));

        _stage.PromptFails = FlamingoException.Invalid("segments", "The prompt is too long.", "Send less.");
        Assert.Equal(FlamingoErrorKind.InvalidArgument,
            (await Assert.ThrowsAsync<FlamingoException>(() => _flamingo.AskAsync(segments))).Kind);
    }

    [Fact]
    public async Task A_stage_that_is_down_fails_that_request_alone()
    {
        _stage.DescribeFails = new FlamingoException(FlamingoErrorKind.Unavailable, "down");
        Assert.Equal(FlamingoErrorKind.Unavailable,
            (await Assert.ThrowsAsync<FlamingoException>(() => _flamingo.AskAsync(Picture(1)))).Kind);
        _stage.DescribeFails = null;
        Assert.Equal([PictureSource.Encoded], await _flamingo.SourcesAsync(Picture(1)));
    }

    [Fact(Timeout = 30_000)]
    public async Task One_request_too_many_is_told_when_to_return()
    {
        await using var services = _stage.Services(("Gateway:MaxConcurrentRequests", "1"), ("Gateway:MaxQueuedRequests", "1"));
        var flamingo = services.GetRequiredService<IFlamingo>();
        _stage.Gate = _gate.Task;
        var working = flamingo.SourcesAsync(Picture(1));
        await _stage.Encoding.Task.WaitAsync(TestContext.Current.CancellationToken);
        var waiting = flamingo.SourcesAsync(Picture(2));
        var refusal = await Assert.ThrowsAsync<FlamingoException>(() => flamingo.AskAsync(Picture(3)));
        Assert.Equal(FlamingoErrorKind.Overloaded, refusal.Kind);
        Assert.True(refusal.RetryAfter > TimeSpan.Zero);
        _gate.SetResult();
        await Task.WhenAll(working, waiting);
        Assert.Equal([1, 1], _stage.Encodes);
    }
}
