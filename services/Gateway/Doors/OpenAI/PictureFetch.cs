using System.Net;
using System.Net.Sockets;
using Flamingo.Abstractions;
using Microsoft.Extensions.Options;

namespace Flamingo.Gateway.Doors.OpenAI;

/// <summary>Finds the addresses of a host. Tests give others than those of the system.</summary>
public interface IHostAddresses
{
    Task<IPAddress[]> FindAsync(string host, CancellationToken cancellation);
}

/// <summary>Asks the operating system.</summary>
internal sealed class SystemHostAddresses : IHostAddresses
{
    public Task<IPAddress[]> FindAsync(string host, CancellationToken cancellation) => Dns.GetHostAddressesAsync(host, cancellation);
}

/// <summary>
/// Fetches pictures from the hosts that the operator allows. A host is resolved once for each connection, and refused if any of its
/// addresses is not public; the connection goes to an address that was checked. Redirects are followed by hand, so that each is checked
/// like the first address. Fetching holds no permit of the gateway.
/// </summary>
public sealed class PictureFetch : IDisposable
{
    private const int MostRedirects = 3;
    private const string Remedy = "Send the picture as a data URL.";

    private readonly DoorOptions _options;
    private readonly HashSet<string> _hosts;
    private readonly IHostAddresses _addresses;
    private readonly Func<IPEndPoint, CancellationToken, Task<Stream>> _connect;
    private readonly HttpMessageInvoker _client;
    private readonly TimeProvider _time;
    private int _running;

    /// <param name="connect">Opens a connection; null opens a socket.</param>
    /// <param name="tune">Changes the handler, for tests with certificates of their own.</param>
    public PictureFetch(
        IOptions<DoorOptions> options, IHostAddresses addresses, TimeProvider time,
        Func<IPEndPoint, CancellationToken, Task<Stream>>? connect = null, Action<SocketsHttpHandler>? tune = null)
    {
        (_options, _addresses, _time, _connect) = (options.Value, addresses, time, connect ?? ConnectAsync);
        _hosts = [.. _options.Hosts().Select(host => host.ToLowerInvariant())];
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false, UseProxy = false, UseCookies = false, AutomaticDecompression = DecompressionMethods.None,
            ConnectCallback = ConnectAsync, MaxResponseHeadersLength = 16, PooledConnectionLifetime = TimeSpan.Zero,
        };
        tune?.Invoke(handler);
        _client = new HttpMessageInvoker(handler);
    }

    /// <summary>Checks an address of a request without asking the network.</summary>
    /// <exception cref="OpenAiFault">The address is malformed, or its host is not allowed.</exception>
    public Uri Check(string text, string path)
    {
        if (_hosts.Count == 0)
            throw OpenAiFault.Invalid(
                path, "This server fetches no pictures.", $"{Remedy} An operator may allow hosts by Doors:PictureHosts.",
                    "unsupported_url");
        if (!Uri.TryCreate(text, UriKind.Absolute, out var address) || text.Length > 2048)
            throw OpenAiFault.Invalid(path, "The address is malformed or longer than 2048 characters.", Remedy);
        if (WhyRefused(address) is { } reason) throw OpenAiFault.Invalid(path, reason, Remedy, "unsupported_url");
        return address;
    }

    /// <summary>Fetches a file.</summary>
    /// <exception cref="OpenAiFault">400: the file cannot be had; the message says why.</exception>
    /// <exception cref="FlamingoException">Overloaded: too many pictures are being fetched.</exception>
    public async Task<ReadOnlyMemory<byte>> FetchAsync(Uri address, string path, int mostBytes, CancellationToken cancellation)
    {
        if (Interlocked.Increment(ref _running) > _options.MaxPictureFetches)
        {
            Interlocked.Decrement(ref _running);
            throw new FlamingoException(
                FlamingoErrorKind.Overloaded,
                $"{_options.MaxPictureFetches} pictures are being fetched (Doors:MaxPictureFetches). Try again, or send data URLs.")
            {
                RetryAfter = TimeSpan.FromSeconds(1),
            };
        }

        try
        {
            return await FollowAsync(address, path, mostBytes, cancellation);
        }
        finally
        {
            Interlocked.Decrement(ref _running);
        }
    }

    public void Dispose() => _client.Dispose();

    private async Task<ReadOnlyMemory<byte>> FollowAsync(Uri address, string path, int mostBytes, CancellationToken cancellation)
    {
        using var late = new CancellationTokenSource(_options.PictureTimeout, _time);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellation);
        try
        {
            for (var redirects = 0; redirects <= MostRedirects; redirects++)
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, address);
                using var answer = await _client.SendAsync(request, ending.Token);
                if ((int)answer.StatusCode is < 300 or > 399) return await ReadAsync(answer, mostBytes, ending.Token);
                var next = answer.Headers.Location is { } location
                    ? new Uri(address, location)
                    : throw new FetchException($"answers {(int)answer.StatusCode} without a place");
                if (WhyRefused(next) is { } reason) throw new FetchException($"redirects to another place: {reason}");
                address = next;
            }

            throw new FetchException($"redirects more than {MostRedirects} times");
        }
        catch (OperationCanceledException) when (late.IsCancellationRequested && !cancellation.IsCancellationRequested)
        {
            throw Refused(path, address, $"does not send the file within {_options.PictureTimeout.TotalSeconds:0.###} s");
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException or UriFormatException or FetchException)
        {
            var known = exception as FetchException ?? exception.InnerException as FetchException;
            throw Refused(path, address, known?.Message ?? "cannot be read");
        }
    }

    private static OpenAiFault Refused(string path, Uri address, string reason) =>
        OpenAiFault.Invalid(path, $"The host {address.IdnHost} {reason}.", Remedy, "picture_not_fetched");

    // A name of an allowed host, with the port that belongs to https. Uri has parsed every spelling of IP addresses; only names are listed.
    private string? WhyRefused(Uri address) => address switch
    {
        { Scheme: not "https" } => "Only https is fetched.",
        { IsDefaultPort: false } => "Only port 443 is fetched.",
        { UserInfo.Length: > 0 } => "The address holds a user name.",
        _ when !_hosts.Contains(address.IdnHost.ToLowerInvariant()) =>
            $"The host {OpenAiFault.Quote(address.IdnHost)} is not among those of Doors:PictureHosts.",
        _ => null,
    };

    private async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellation)
    {
        IPAddress[] found;
        try
        {
            found = await _addresses.FindAsync(context.DnsEndPoint.Host, cancellation);
        }
        catch (SocketException)
        {
            found = [];
        }

        if (found.Length == 0) throw new FetchException("has no address");
        if (!found.All(PublicAddress.IsPublic)) throw new FetchException("has an address that is not public");
        SocketException? last = null;
        foreach (var address in found.Take(4))
        {
            try
            {
                return await _connect(new IPEndPoint(address, context.DnsEndPoint.Port), cancellation);
            }
            catch (SocketException exception)
            {
                last = exception;
            }
        }

        throw new FetchException("cannot be reached", last);
    }

    private static async Task<Stream> ConnectAsync(IPEndPoint address, CancellationToken cancellation)
    {
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(address, cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static async Task<ReadOnlyMemory<byte>> ReadAsync(HttpResponseMessage answer, int mostBytes, CancellationToken cancellation)
    {
        if (answer.StatusCode != HttpStatusCode.OK) throw new FetchException($"answers {(int)answer.StatusCode}");
        if (answer.Content.Headers.ContentLength > mostBytes) throw TooLarge();
        await using var content = await answer.Content.ReadAsStreamAsync(cancellation);
        using var file = new MemoryStream();
        var part = new byte[64 << 10];
        while (await content.ReadAsync(part, cancellation) is > 0 and var count)
        {
            if (file.Length + count > mostBytes) throw TooLarge();
            file.Write(part, 0, count);
        }

        return file.GetBuffer().AsMemory(0, (int)file.Length);

        FetchException TooLarge() => new($"sends more than {mostBytes} bytes");
    }

    /// <summary>Completes the sentence "The host … ….".</summary>
    private sealed class FetchException(string message, Exception? inner = null) : IOException(message, inner);
}

/// <summary>Tells public addresses from those of this machine, of private networks and of special uses (RFC 6890).</summary>
public static class PublicAddress
{
    private static readonly IPNetwork[] Others =
    [
        .. new[]
        {
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
            "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        }.Select(text => IPNetwork.Parse(text)),
    ];

    // Of IPv6 only the global unicast range is public, without documentation, ORCHID, benchmarks, Teredo and 6to4, which holds an IPv4
    // address.
    private static readonly IPNetwork GlobalUnicast = IPNetwork.Parse("2000::/3");

    private static readonly IPNetwork[] OthersOfGlobal =
        [.. new[] { "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20" }.Select(text => IPNetwork.Parse(text))];

    public static bool IsPublic(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6) address = address.MapToIPv4();
        return address.AddressFamily == AddressFamily.InterNetwork
            ? !Others.Any(network => network.Contains(address))
            : GlobalUnicast.Contains(address) && !OthersOfGlobal.Any(network => network.Contains(address));
    }
}
