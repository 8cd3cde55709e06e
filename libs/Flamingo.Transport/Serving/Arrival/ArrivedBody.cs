using System.Buffers;
using System.IO.Pipelines;
using Flamingo.Abstractions;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Flamingo.Transport.Serving.Arrival;

/// <summary>
/// The whole body of an HTTP request that is not gRPC. It is received before its endpoint runs, so that it is admitted by the same
/// <see cref="ByteBudget"/> as gRPC messages, and so that a refusal is an answer and not an exception while the endpoint parses.
/// <see cref="HttpRequest.Body"/> and <see cref="HttpRequest.BodyReader"/> then read from memory; the reader has all bytes at once.
/// </summary>
public sealed class ArrivedBody : IRequestBodyPipeFeature, IDisposable
{
    /// <summary>
    /// How often a body is held at most while it is parsed. The serializer's buffer doubles its size, so it holds up to twice the text
    /// while it copies it once more; what has been read is released.
    /// </summary>
    private const int Copies = 3;

    private readonly HttpContext _context;
    private readonly ArrivingBytes _bytes;

    private ArrivedBody(HttpContext context, ArrivingBytes bytes) => (_context, _bytes) = (context, bytes);

    public PipeReader Reader { get; private set; } = PipeReader.Create(default(ReadOnlySequence<byte>));

    /// <returns>The body of a request; null if it has none or is a gRPC call.</returns>
    public static ArrivedBody? Of(HttpContext? context) => context?.Features.Get<IRequestBodyPipeFeature>() as ArrivedBody;

    /// <summary>Receives the body of a request, and gives it to the request. The caller disposes it when the request has been
    /// answered.</summary>
    /// <param name="small">Whether the endpoint takes names and numbers only, at most 64 KiB.</param>
    /// <exception cref="BadHttpRequestException">
    /// With the HTTP status: 413 if the body is too large, 415 if it is compressed, 408 if it arrives too slowly, 400 if it ends early.
    /// </exception>
    /// <exception cref="FlamingoException">Overloaded: as <see cref="ByteBudget.Take"/> throws it.</exception>
    public static async Task<ArrivedBody> ReceiveAsync(HttpContext context, bool small)
    {
        var services = context.RequestServices;
        var (budget, time) = (services.GetRequiredService<ByteBudget>(), services.GetRequiredService<TimeProvider>());
        var timeout = services.GetRequiredService<IOptions<RequestOptions>>().Value.TransferTimeout;
        if (context.Request.Headers.ContentEncoding.ToString() is not ("" or "identity"))
            throw new BadHttpRequestException(
                "The header Content-Encoding names a compression. Send the body uncompressed.", StatusCodes.Status415UnsupportedMediaType);
        var most = small ? ByteBudget.SmallBytes : budget.LargestBody(Copies);
        if (context.Request.ContentLength > most) throw TooLarge(most, small);
        var bytes = new ArrivingBytes(context, budget, timeout, time);
        var body = new ArrivedBody(context, bytes);
        if (context.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } rate) rate.MinDataRate = null; // TransferTimeout rules
        try
        {
            await body.ReceiveAsync(budget, most, small);
            return body;
        }
        catch (OperationCanceledException) when (bytes.IsTooSlow)
        {
            body.Dispose();
            throw new BadHttpRequestException(bytes.TooSlow, StatusCodes.Status408RequestTimeout);
        }
        catch
        {
            body.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Says that the bytes have been parsed, so that they can be released. Until the request has been answered, it is counted once, for
    /// the pictures and texts that were read from it.
    /// </summary>
    public void Parsed()
    {
        Reader = PipeReader.Create(default(ReadOnlySequence<byte>));
        _context.Request.Body = Stream.Null;
        _context.Features.Set<IRequestBodyPipeFeature>(this); // the server replaces it when it gets another body
        _bytes.GiveBackParsed();
    }

    /// <summary>Gives all bytes back.</summary>
    public void Dispose() => _bytes.Dispose();

    private async Task ReceiveAsync(ByteBudget budget, int most, bool small)
    {
        var length = _context.Request.ContentLength;
        small = small || length <= ByteBudget.SmallBytes;
        if (length is { } announced) budget.CheckFree(_bytes.Tenant, Copies * announced, small);
        var pieces = new ArrivingBytes.Pieces(_bytes, Copies, small);
        while (true)
        {
            var read = await _bytes.FillAsync(1);
            if (pieces.Length + read.Buffer.Length > most) throw TooLarge(most, small);
            pieces.Append(read.Buffer, length ?? most);
            _bytes.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted) break;
        }

        _bytes.StopClock();
        Reader = PipeReader.Create(pieces.ToMessage().Slice(ArrivingBytes.PrefixBytes));
        _context.Request.Body = Reader.AsStream(leaveOpen: true);
        _context.Features.Set<IRequestBodyPipeFeature>(this);
    }

    private static BadHttpRequestException TooLarge(int most, bool small) => new(
        $"The body is larger than {most} bytes. " + (small
            ? "Leave out what this call does not need."
            : "Send fewer pictures at once, send the ids of pictures that were sent before, or raise Requests:MaxInFlightBytes."),
        StatusCodes.Status413PayloadTooLarge);
}
