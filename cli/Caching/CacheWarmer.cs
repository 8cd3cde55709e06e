using System.Collections.Concurrent;
using System.Security.Cryptography;
using Flamingo.Abstractions;
using Flamingo.Cli.Reporting;

namespace Flamingo.Cli.Caching;

/// <summary>
/// Fills a server's latent cache: it requests each picture by id and sends only the pictures that the server does not hold. It counts
/// while it runs, so that an interrupted run can report its progress.
/// </summary>
public sealed class CacheWarmer(IFlamingo flamingo, string tenant, bool includePooled, TimeProvider time)
{
    // A server that stays overloaded for this many attempts in a row, each after the delay that it asked for, will not take the request.
    private const int MostRefusals = 20;

    private static readonly TimeSpan ShortestDelay = TimeSpan.FromMilliseconds(100);

    private readonly ConcurrentQueue<(string File, string Problem)> _bad = [];
    private int _held;
    private int _sent;

    public int Held => _held;

    public int Sent => _sent;

    /// <summary>Files that cannot be read or are not pictures, with the problem, ordered by file name.</summary>
    public IReadOnlyList<(string File, string Problem)> Bad => [.. _bad.OrderBy(bad => bad.File, StringComparer.Ordinal)];

    /// <exception cref="FlamingoException">
    /// The server failed. Pictures that were sent before stay in its cache, and the counts of this object include them.
    /// </exception>
    public Task RunAsync(
        IReadOnlyList<string> files, int batch, int concurrency, Action<Progressed> report, CancellationToken cancellation)
    {
        var options = new ParallelOptions { MaxDegreeOfParallelism = concurrency, CancellationToken = cancellation };
        return Parallel.ForEachAsync(files.Chunk(batch), options, async (some, cancelled) =>
        {
            await WarmAsync(some, cancelled);
            report(new Progressed(_held + _sent + _bad.Count, files.Count, some[^1]));
        });
    }

    private async Task WarmAsync(IReadOnlyList<string> files, CancellationToken cancellation)
    {
        var asked = new List<(string File, string Id)>();
        foreach (var file in files)
        {
            var hash = await ReadAsync(file, async () =>
            {
                await using var stream = File.OpenRead(file);
                return await SHA256.HashDataAsync(stream, cancellation);
            });
            if (hash is not null) asked.Add((file, Convert.ToHexStringLower(hash)));
        }

        if (asked.Count == 0) return;
        var missing = await MissingAsync([.. asked.Select(item => item.Id).Distinct(StringComparer.Ordinal)], cancellation);
        Interlocked.Add(ref _held, asked.Count(item => !missing.Contains(item.Id)));

        var read = new List<(string File, byte[] Bytes)>();
        foreach (var (file, _) in asked.Where(item => missing.Contains(item.Id)))
            if (await ReadAsync(file, () => File.ReadAllBytesAsync(file, cancellation)) is { } bytes) read.Add((file, bytes));
        await SendAsync(read, cancellation);
    }

    private async Task<HashSet<string>> MissingAsync(IReadOnlyList<string> ids, CancellationToken cancellation)
    {
        try
        {
            await EncodeAsync([.. ids.Select(id => new FlamingoPictureId(id))], cancellation);
            return [];
        }
        catch (FlamingoException refusal) when (refusal.Kind == FlamingoErrorKind.NotFound)
        {
            return [.. refusal.Missing];
        }
    }

    // One picture that cannot be decoded fails the whole request, so the pictures of a failed request are sent one by one.
    private async Task SendAsync(IReadOnlyList<(string File, byte[] Bytes)> pictures, CancellationToken cancellation)
    {
        if (pictures.Count == 0) return;
        try
        {
            await EncodeAsync([.. pictures.Select(picture => new FlamingoPicture(picture.Bytes))], cancellation);
            Interlocked.Add(ref _sent, pictures.Count);
        }
        catch (FlamingoException refusal) when (refusal.Kind == FlamingoErrorKind.InvalidArgument)
        {
            if (pictures is [var (file, _)])
                _bad.Enqueue((file, string.Join(' ', refusal.Faults.Select(fault => $"{fault.Problem} {fault.Remedy}"))));
            else foreach (var picture in pictures) await SendAsync([picture], cancellation);
        }
    }

    private async Task EncodeAsync(IReadOnlyList<FlamingoVisual> pictures, CancellationToken cancellation)
    {
        for (var refusals = 1; ; refusals++)
        {
            try
            {
                await flamingo.EncodeAsync(new FlamingoEncodeRequest(pictures, includePooled) { Tenant = tenant }, cancellation);
                return;
            }
            catch (FlamingoException busy) when (busy.Kind == FlamingoErrorKind.Overloaded && refusals < MostRefusals)
            {
                await Task.Delay(busy.RetryAfter is { } delay && delay > ShortestDelay ? delay : ShortestDelay, time, cancellation);
            }
        }
    }

    private async Task<byte[]?> ReadAsync(string file, Func<Task<byte[]>> read)
    {
        try
        {
            return await read();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            _bad.Enqueue((file, exception.Message));
            return null;
        }
    }
}
