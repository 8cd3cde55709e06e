using System.Runtime.InteropServices;
using Flamingo.Abstractions;
using Flamingo.Modeling.Batching;
using Flamingo.Modeling.Runtime;
using Flamingo.Stages;

namespace Flamingo.Modeling.Tests.Devices;

/// <summary>The exceptions that callers get when the device has no memory or fails, with the messages of torch 2.10 and 2.11.</summary>
public sealed class DeviceFaultTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.10 GiB")]
    [InlineData("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: " +
        "you tried to allocate 4398046511104 bytes.")]
    [InlineData("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported")]
    [InlineData("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")]
    public async Task Without_memory_the_call_is_overloaded_with_a_retry_time_and_others_go_on(string message)
    {
        var ended = 0;
        using var thread = new InferenceThread(1, () => ended++);
        var refused = await Assert.ThrowsAsync<FlamingoException>(
            () => thread.RunAsync<int>(() => throw new ExternalException(message), Cancellation));
        Assert.Equal(FlamingoErrorKind.Overloaded, refused.Kind);
        Assert.NotNull(refused.RetryAfter);
        Assert.Contains("memory", refused.Message, StringComparison.Ordinal);
        Assert.Equal(7, await thread.RunAsync(() => 7, Cancellation));
        Assert.Equal(0, ended);
    }

    [Fact]
    public async Task An_allocation_that_torch_refuses_is_recognised()
    {
        using var thread = new InferenceThread(1);
        var refused = await Assert.ThrowsAsync<FlamingoException>(
            () => thread.RunAsync(() => TorchSharp.torch.empty(1L << 46).numel(), Cancellation));
        Assert.Equal(FlamingoErrorKind.Overloaded, refused.Kind);
    }

    [Theory]
    [InlineData("CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported at some other API call")]
    [InlineData("CUDA error: an illegal memory access was encountered")]
    [InlineData("CUDA error: unspecified launch failure")]
    [InlineData("CUDA error: uncorrectable ECC error encountered")]
    [InlineData("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx(...)`")]
    public async Task A_device_that_failed_ends_the_process_once_and_refuses_everything_later(string message)
    {
        var ended = 0;
        using var thread = new InferenceThread(1, () => ended++);
        var first = await Assert.ThrowsAsync<FlamingoException>(
            () => thread.RunAsync<int>(() => throw new ExternalException(message), Cancellation));
        Assert.Equal(FlamingoErrorKind.Unavailable, first.Kind); // the gateway retries on another replica
        Assert.Contains(message.Split('\n')[0], first.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', first.Message);
        for (var call = 0; call < 3; call++)
        {
            var later = await Assert.ThrowsAsync<FlamingoException>(() => thread.RunAsync(() => 7, Cancellation));
            Assert.Equal(FlamingoErrorKind.Unavailable, later.Kind);
        }

        Assert.Equal(1, ended);
    }

    [Theory]
    [InlineData("CUDA out of memory. Tried to allocate 20.00 GiB.", FlamingoErrorKind.Overloaded, 0)]
    [InlineData("CUDA error: an illegal memory access was encountered", FlamingoErrorKind.Unavailable, 1)]
    public async Task Errors_that_the_queue_of_a_batch_catches_are_handled_alike(string message, FlamingoErrorKind kind, int ends)
    {
        var ended = 0;
        using var thread = new InferenceThread(1, () => ended++);
        using var queue = new BatchQueue<int, int>(
            new BatchBounds(4, TimeSpan.Zero), _ => null,
            _ => thread.Guarded<IReadOnlyList<int>>(() => throw new ExternalException(message)),
            thread.RunAsync, TimeProvider.System);
        Assert.Equal(kind, (await Assert.ThrowsAsync<FlamingoException>(() => queue.RunAsync([1, 2], Cancellation))).Kind);
        Assert.Equal(ends, ended);
        if (ends > 0)
        {
            var later = await Assert.ThrowsAsync<FlamingoException>(() => queue.RunAsync([3], Cancellation));
            Assert.Equal(FlamingoErrorKind.Unavailable, later.Kind);
        }
    }

    [Fact]
    public async Task Other_errors_stay_what_they_are()
    {
        using var thread = new InferenceThread(1, () => Assert.Fail("the device did not fail permanently"));
        await Assert.ThrowsAsync<ArgumentException>(() => thread.RunAsync<int>(() => throw new ArgumentException("a shape"), Cancellation));
        var unavailable = new FlamingoException(FlamingoErrorKind.Unavailable, "stopping");
        Assert.Same(
            unavailable,
            await Assert.ThrowsAsync<FlamingoException>(() => thread.RunAsync<int>(() => throw unavailable, Cancellation)));
        Assert.Equal(7, await thread.RunAsync(() => 7, Cancellation));
    }
}
