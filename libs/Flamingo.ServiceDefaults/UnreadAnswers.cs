using System.IO.Pipelines;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Flamingo.ServiceDefaults;

/// <summary>
/// Middleware that resets the stream of a call whose caller takes nothing of its answer for
/// <see cref="EndpointOptions.WriteTimeout"/>. Without it, the flow control of HTTP/2 lets a caller hold a call, and all that the
/// call holds, for ever.
/// </summary>
internal sealed class UnreadAnswers(IOptions<EndpointOptions> options, TimeProvider time, ILogger<UnreadAnswers> log)
{
    public async Task WatchAsync(HttpContext context, RequestDelegate next)
    {
        var body = context.Features.GetRequiredFeature<IHttpResponseBodyFeature>();
        context.Features.Set<IHttpResponseBodyFeature>(new WatchedBody(body, FlushAsync));
        await next(context);

        async ValueTask<FlushResult> FlushAsync(Task<FlushResult> flush)
        {
            try
            {
                return await flush.WaitAsync(options.Value.WriteTimeout, time);
            }
            catch (TimeoutException)
            {
                log.AnswerUnread(context.Request.Path.Value?.TrimStart('/') ?? "", options.Value.WriteTimeout);
                context.Abort();
                return await flush; // ends now, because the stream has been reset
            }
        }
    }

    /// <summary>The server's response body, with a limit on the time of each flush that waits for the caller.</summary>
    private sealed class WatchedBody(IHttpResponseBodyFeature body, Func<Task<FlushResult>, ValueTask<FlushResult>> wait)
        : PipeWriter, IHttpResponseBodyFeature
    {
        public Stream Stream => field ??= AsStream(leaveOpen: true);

        public PipeWriter Writer => this;

        public override bool CanGetUnflushedBytes => body.Writer.CanGetUnflushedBytes;

        public override long UnflushedBytes => body.Writer.UnflushedBytes;

        public override void Advance(int bytes) => body.Writer.Advance(bytes);

        public override Memory<byte> GetMemory(int sizeHint = 0) => body.Writer.GetMemory(sizeHint);

        public override Span<byte> GetSpan(int sizeHint = 0) => body.Writer.GetSpan(sizeHint);

        public override void CancelPendingFlush() => body.Writer.CancelPendingFlush();

        public override void Complete(Exception? exception = null) => body.Writer.Complete(exception);

        public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
        {
            var flush = body.Writer.FlushAsync(cancellationToken);
            return flush.IsCompleted ? flush : wait(flush.AsTask());
        }

        public void DisableBuffering() => body.DisableBuffering();

        public Task StartAsync(CancellationToken cancellationToken = default) => body.StartAsync(cancellationToken);

        public Task SendFileAsync(string path, long offset, long? count, CancellationToken cancellationToken = default) =>
            SendFileFallback.SendFileAsync(Stream, path, offset, count, cancellationToken);

        public Task CompleteAsync() => body.CompleteAsync();
    }
}
