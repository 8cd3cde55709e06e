using Flamingo.Abstractions;
using Flamingo.Gateway.Admission;
using Flamingo.Gateway.Operations;
using Flamingo.Gateway.Prompts;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Latents;

/// <summary>What a cancelled request leaves behind: no work, unless another request waits for it, and no permit.</summary>
public sealed class WithdrawalTests : IAsyncDisposable
{
    private readonly Stage _stage = new();
    private readonly TaskCompletionSource _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ServiceProvider _services;
    private readonly IFlamingo _flamingo;
    private readonly RequestPermits _permits;

    public WithdrawalTests()
    {
        _services = _stage.Services();
        _flamingo = _services.GetRequiredService<IFlamingo>();
        _permits = _services.GetRequiredService<RequestPermits>();
        _stage.Gate = _gate.Task;
    }

    public async ValueTask DisposeAsync()
    {
        _gate.TrySetResult();
        await _services.DisposeAsync();
    }

    [Fact(Timeout = 30_000)]
    public async Task A_cancelled_request_returns_its_permit_when_the_stage_has_ended_its_work_and_not_before()
    {
        var ending = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _stage.Ending = ending.Task;
        using var caller = new CancellationTokenSource();
        var left = EncodeAsync(caller.Token, 1, 2);
        await _stage.Encoding.Task.WaitAsync(TestContext.Current.CancellationToken);
        await caller.CancelAsync();
        while (Volatile.Read(ref _stage.Cancelled) == 0) await Task.Yield();
        Assert.Equal((false, 1), (left.IsCompleted, _permits.State.Running));

        // A request that arrives meanwhile does not join the withdrawn work.
        _stage.Gate = Task.CompletedTask;
        Assert.Equal([PictureSource.Encoded], await _flamingo.SourcesAsync(Picture(1)));
        Assert.Equal([2, 1], _stage.Encodes);

        ending.SetResult();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);
        Assert.Equal(0, _permits.State.Running);
    }

    [Fact(Timeout = 30_000)]
    public async Task Of_a_cancelled_call_only_the_pictures_that_others_wait_for_are_encoded_each_begun_at_most_twice()
    {
        using var caller = new CancellationTokenSource();
        var left = EncodeAsync(caller.Token, 1, 2, 3, 4);
        await _stage.Encoding.Task.WaitAsync(TestContext.Current.CancellationToken);
        using var another = new CancellationTokenSource();
        var (waiting, leaving) = (_flamingo.SourcesAsync(Picture(3)), EncodeAsync(another.Token, 2));
        Assert.Equal([4], _stage.Encodes);
        await caller.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);
        while (_stage.Encodes.Count < 3) await Task.Yield();
        Assert.Equal([4, 1, 1], _stage.Encodes);
        await another.CancelAsync(); // cancels the call for its own picture alone
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaving);
        Assert.Equal(2, _stage.Cancelled);
        _gate.SetResult();
        Assert.Equal([PictureSource.Encoded], await waiting);
        Assert.Equal([1, 2, 3, 4, 2, 3], [.. _stage.Inputs.Take(4).Select(First), .. _stage.Inputs.Skip(4).Select(First).Order()]);
        Assert.Equal(0, _permits.State.Running);
    }

    [Fact(Timeout = 30_000)]
    public async Task The_last_request_that_leaves_ends_the_work()
    {
        using var both = new CancellationTokenSource();
        var requests = Enumerable.Range(0, 8).Select(_ => EncodeAsync(both.Token, 1)).ToList();
        await _stage.Encoding.Task.WaitAsync(TestContext.Current.CancellationToken);
        await both.CancelAsync();
        foreach (var request in requests) await Assert.ThrowsAnyAsync<OperationCanceledException>(() => request);
        Assert.Equal((1, 1, 0), (_stage.Encodes.Count, _stage.Cancelled, _permits.State.Running));
        _gate.SetResult();
        Assert.Equal([PictureSource.Encoded], await _flamingo.SourcesAsync(Picture(1))); // nothing was stored
    }

    [Fact(Timeout = 30_000)]
    public async Task A_stage_that_hangs_ends_every_request_that_waits_for_it_and_is_named_with_the_option()
    {
        await using var services = _stage.Services(("Gateway:EncodeTimeout", "200ms"));
        _stage.Ending = _gate.Task; // cancellation does not end the call either
        var flamingo = services.GetRequiredService<IFlamingo>();
        var asked = Enumerable.Range(0, 4).Select(_ => flamingo.AskAsync(Picture(1))).ToList();
        foreach (var request in asked)
        {
            var failure = await Assert.ThrowsAsync<FlamingoException>(() => request.WaitAsync(TestContext.Current.CancellationToken));
            Assert.Equal(FlamingoErrorKind.DeadlineExceeded, failure.Kind);
            Assert.Contains("vision encoder", failure.Message, StringComparison.Ordinal);
            Assert.Contains("Gateway:EncodeTimeout", failure.Message, StringComparison.Ordinal);
        }

        Assert.Equal(0, services.GetRequiredService<RequestPermits>().State.Running);
    }

    [Fact(Timeout = 60_000)]
    public async Task Requests_that_come_and_go_leave_nothing_behind_and_get_the_right_latents()
    {
        await using var services = _stage.Services(("Gateway:MemoryCacheBytes", "120"), ("Gateway:MaxQueuedRequests", "10000"));
        var (flamingo, permits) = (services.GetRequiredService<IFlamingo>(), services.GetRequiredService<RequestPermits>());
        var random = new Random(12);
        _stage.Gate = Task.CompletedTask;
        for (var round = 0; round < 60; round++)
        {
            var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _stage.Gate = random.Next(4) == 0 ? Task.CompletedTask : gate.Task;
            var requests = Enumerable.Range(0, 20).Select(_ =>
            {
                var caller = new CancellationTokenSource();
                byte[] pictures = [.. Enumerable.Range(0, random.Next(1, 5)).Select(_ => (byte)random.Next(1, 9))];
                return (Caller: caller, Pictures: pictures, Leaves: random.Next(2) == 0,
                    Answer: Task.Run(() => services.GetRequiredService<Gateway.Latents.LatentCache>().GetOrEncodeAsync(
                        [.. pictures.Select(picture => new Gateway.Latents.RequestedPicture(
                            PictureId.Of([picture]), VisualInput.Still(new[] { picture }), "picture"))],
                        Tenants.Tenant.Of("", ""), caller.Token)));
            }).ToList();
            foreach (var request in requests.Where(request => request.Leaves)) await request.Caller.CancelAsync();
            _ = Task.Run(gate.SetResult);
            foreach (var (caller, pictures, leaves, answer) in requests)
            {
                try
                {
                    var latents = await answer.WaitAsync(TestContext.Current.CancellationToken);
                    Assert.Equal(pictures.Select(picture => (float)picture), latents.Select(item => item.Latents.Tensor.ToFloats()[0]));
                }
                catch (OperationCanceledException)
                {
                    Assert.True(leaves);
                }

                caller.Dispose();
            }
        }

        Assert.Equal((0, 0), (permits.State.Running, permits.State.Waiting));
        _stage.Gate = Task.CompletedTask;
        byte[] all = [1, 2, 3, 4, 5, 6, 7, 8];
        foreach (var picture in all) Assert.Single(await flamingo.SourcesAsync(Picture(picture)));
    }

    private static byte First(VisualInput input) => input.Files[0].Span[0];

    private Task<FlamingoEncoding> EncodeAsync(CancellationToken cancellation, params byte[] pictures) =>
        _flamingo.EncodeAsync(new FlamingoEncodeRequest([.. pictures.Select(picture => Picture(picture))]), cancellation);
}
