using Flamingo.Abstractions;
using Flamingo.Gateway.Eviction;
using Flamingo.Gateway.Latents;
using Flamingo.Gateway.Prompts;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Attention;

/// <summary>
/// Tests attention maps through the whole pipeline: they are computed only on request, only for the picture that the answer
/// attends to, and they are cached.
/// </summary>
public sealed class AttentionTests : IAsyncDisposable
{
    private readonly Stage _stage = new();
    private readonly ServiceProvider _services;
    private readonly IFlamingo _flamingo;

    public AttentionTests()
    {
        _services = _stage.Services();
        _flamingo = _services.GetRequiredService<IFlamingo>();
    }

    public ValueTask DisposeAsync() => _services.DisposeAsync();

    [Fact]
    public async Task Every_token_has_its_map_over_the_last_picture_which_alone_is_resampled_for_it()
    {
        var maps = Maps(await LookAsync(Picture(1), Picture(2), new FlamingoText("x")));
        Assert.Equal(new AttentionChoice([1], [0]).Layers, _stage.Asked!.Attention!.Layers);
        Assert.Equal([1, 1, 1], maps.Select(map => map!.Picture));
        Assert.Equal([0, 0.25f, 0.25f, 0.5f], maps[0]!.Map!.ToFloats());
        Assert.Equal([1, 0, 0, 0], maps[1]!.Map!.ToFloats());
        Assert.Equal([0.5f, 0.125f, 0.125f, 0.25f], maps[2]!.Map!.ToFloats());
        Assert.Equal([2, 2], maps[0]!.Map!.Shape);
        Assert.Equal([2], _stage.Encodes);
        Assert.Equal([false, true], _stage.Resamples.Order());
    }

    [Fact]
    public async Task A_prompt_without_pictures_has_no_maps()
    {
        Assert.Equal([null, null, null], Maps(await LookAsync(new FlamingoText("x"))));
        Assert.Empty(_stage.Encodes);
    }

    [Fact]
    public async Task Off_costs_nothing_and_the_second_time_is_cached()
    {
        Assert.Empty(Maps(await _flamingo.AskAsync(Picture(1))));
        Assert.Equal([false], _stage.Resamples);

        // the latents are held without attention, so the picture is encoded again
        Assert.Equal([PictureSource.Encoded], Sources(await LookAsync(Picture(1))));
        Assert.Equal([PictureSource.Memory], Sources(await LookAsync(Picture(1))));
        Assert.Equal([PictureSource.Memory], Sources(await LookAsync(new FlamingoPictureId(PictureId.Of([1])))));
        Assert.Equal([PictureSource.Memory], await _flamingo.SourcesAsync(Picture(1)));
        Assert.Equal([false, true], _stage.Resamples);
    }

    [Fact]
    public async Task Encoded_again_for_its_attention_a_picture_keeps_the_latents_that_answers_have_used()
    {
        await _flamingo.AskAsync(Picture(1));
        var before = _services.GetRequiredService<TinyLfuCache<LatentValue>>().Get(((PictureSegment)_stage.Prompts.Last()[0]).Key);
        await LookAsync(Picture(1));
        Assert.Same(before, _services.GetRequiredService<TinyLfuCache<LatentValue>>().Get(((PictureSegment)_stage.Prompts.Last()[0]).Key));
    }

    [Fact]
    public async Task A_picture_held_without_attention_and_sent_by_id_is_named()
    {
        await _flamingo.AskAsync(Picture(1), Picture(2));
        string[] ids = [PictureId.Of([9]), PictureId.Of([2])];
        // only the last picture needs attention
        Assert.Equal([PictureSource.Memory, PictureSource.Encoded],
            Sources(await LookAsync(new FlamingoPictureId(PictureId.Of([1])), Picture(2))));
        await _flamingo.AskAsync(Picture(3));
        var refusal = await Assert.ThrowsAsync<FlamingoException>(
            () => LookAsync(new FlamingoPictureId(PictureId.Of([9])), new FlamingoPictureId(PictureId.Of([3]))));
        Assert.Equal(FlamingoErrorKind.NotFound, refusal.Kind);
        Assert.Equal([ids[0], PictureId.Of([3])], refusal.Missing);
        Assert.Contains("attention", refusal.Message, StringComparison.Ordinal);
    }

    [Fact(Timeout = 30_000)]
    public async Task An_encoding_with_attention_serves_requests_that_need_none()
    {
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _stage.Gate = gate.Task;
        var looking = LookAsync(Picture(1));
        await _stage.Encoding.Task.WaitAsync(TestContext.Current.CancellationToken);
        var (plain, second) = (_flamingo.SourcesAsync(Picture(1)), LookAsync(Picture(1)));
        gate.SetResult();
        Assert.Equal([PictureSource.Encoded], await plain);
        Assert.Equal(3, Maps(await second).Count);
        Assert.Equal(3, Maps(await looking).Count);
        Assert.Equal([1], _stage.Encodes);
    }

    private async Task<List<AnswerEvent>> LookAsync(params FlamingoSegment[] segments) => await _flamingo.GenerateAsync(
        new FlamingoRequest(segments, new SamplingParameters { MaxTokens = 4 }) { Attention = new AttentionChoice([1], [0]) },
        TestContext.Current.CancellationToken).ToListAsync();

    private static List<TokenAttention?> Maps(List<AnswerEvent> answer) =>
        [.. answer.OfType<AnswerTokens>().SelectMany(tokens => tokens.Attention)];

    private static IEnumerable<PictureSource> Sources(List<AnswerEvent> answer) =>
        answer.OfType<PicturesResolved>().Single().Pictures.Select(picture => picture.Source);
}
