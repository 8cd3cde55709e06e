using Flamingo.Abstractions;
using Flamingo.Gateway.Delivery;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Delivery;

/// <summary>
/// The gateway sends latents once. A language model that has lost them gets all latents again, and the caller sees a single
/// answer.
/// </summary>
public sealed class LatentDeliveryTests : IAsyncDisposable
{
    private readonly Stage _stage = new();
    private readonly ServiceProvider _services;
    private readonly IFlamingo _flamingo;

    public LatentDeliveryTests()
    {
        _services = _stage.Services();
        _flamingo = _services.GetRequiredService<IFlamingo>();
    }

    public ValueTask DisposeAsync() => _services.DisposeAsync();

    [Fact]
    public async Task What_was_delivered_is_not_sent_again()
    {
        await _flamingo.AskAsync(Picture(1), new FlamingoText("x"));
        await _flamingo.AskAsync(Picture(1), Picture(2));
        Assert.Equal([[true], [false, true]], _stage.Prompts.Select(Sent));
        await _flamingo.RankAsync(new FlamingoRankRequest([Picture(1), Picture(2)], ["cat"]), TestContext.Current.CancellationToken);
        Assert.Equal([false, false], Sent(_stage.Prompts.Last()));
    }

    [Fact]
    public async Task A_language_model_that_lost_one_gets_all_again_and_the_answer_is_whole()
    {
        await _flamingo.AskAsync(Picture(1), Picture(2));
        _stage.Held.TryRemove(((PictureSegment)_stage.Prompts.Last()[1]).Key, out _);
        var answer = await _flamingo.AskAsync(Picture(1), Picture(2));
        Assert.Equal([[true, true], [false, false], [true, true]], _stage.Prompts.Select(Sent));
        Assert.Single(answer.OfType<PicturesResolved>());
        Assert.Equal("a dog", string.Concat(answer.OfType<AnswerTokens>().Select(tokens => tokens.Text)));
        Assert.IsType<AnswerFinished>(answer[^1]);

        _stage.Held.Clear();
        await _flamingo.RankAsync(new FlamingoRankRequest([Picture(1)], ["cat"]), TestContext.Current.CancellationToken);
        Assert.Equal([[false], [true]], _stage.Prompts.TakeLast(2).Select(Sent));
    }

    [Fact]
    public async Task One_that_cannot_name_all_that_it_lost_gets_all_again_and_is_not_believed_to_hold_any()
    {
        await _flamingo.AskAsync(Picture(1), Picture(2));
        (_stage.NamesFew, _stage.Forgets) = (true, true);
        await Assert.ThrowsAsync<FlamingoException>(() => _flamingo.AskAsync(Picture(1), Picture(2)));
        (_stage.NamesFew, _stage.Forgets) = (false, false);
        await _flamingo.AskAsync(Picture(2)); // the second one was not named
        Assert.Equal([[true, true], [false, false], [true, true], [true]], _stage.Prompts.Select(Sent));
    }

    [Fact]
    public async Task The_same_seed_goes_with_both_calls()
    {
        var request = new FlamingoRequest([Picture(1)], new SamplingParameters { Temperature = 1 });
        await _flamingo.GenerateAsync(request, TestContext.Current.CancellationToken).ToListAsync();
        _stage.Held.Clear();
        var end = (await _flamingo.GenerateAsync(request, TestContext.Current.CancellationToken).ToListAsync())[^1];
        Assert.Equal(3, _stage.Prompts.Count);
        Assert.Equal(_stage.Sampling!.Seed, Assert.IsType<AnswerFinished>(end).Seed);
        Assert.Equal(2, _stage.SeedsDrawn);
    }

    [Fact]
    public async Task One_that_asks_for_what_it_was_sent_fails_that_request_after_one_more_call()
    {
        _stage.Forgets = true;
        var failure = await Assert.ThrowsAsync<FlamingoException>(() => _flamingo.AskAsync(Picture(1)));
        Assert.Equal(FlamingoErrorKind.Internal, failure.Kind);
        Assert.Equal(2, _stage.Prompts.Count);
        _stage.Forgets = false;
        await _flamingo.AskAsync(Picture(1));
        Assert.Equal([true], Sent(_stage.Prompts.Last())); // failed calls do not count as deliveries
    }

    [Fact]
    public async Task Another_value_of_a_delivered_key_is_sent_and_what_is_not_sent_names_its_checksum()
    {
        var delivery = _services.GetRequiredService<LatentDelivery>();
        var values = new[] { 1f, 2f }.Select(value => ChecksummedLatents.Of(TensorData.FromFloats([value], 1, 1))).ToList();
        foreach (var value in new[] { values[0], values[1], values[0], values[1] })
            await delivery.RankAsync(
                new RankRequest([new PictureSegment(new string('a', 64), value)], ["x"]), TestContext.Current.CancellationToken);
        Assert.Equal([[true], [true], [false], [false]], _stage.Prompts.Select(Sent));
        Assert.Equal(
            [values[0], values[1], values[0], values[1]],
            _stage.Prompts.Select(prompt => values.Single(
                value => value.Checksum.Span.SequenceEqual(((PictureSegment)prompt[0]).Checksum.Span))));
    }

    private static IEnumerable<bool> Sent(IReadOnlyList<PromptSegment> prompt) =>
        [.. prompt.OfType<PictureSegment>().Select(picture => picture.Latents is not null)];
}
