using System.Net;
using System.Runtime.ExceptionServices;
using Grpc.Net.Client.Web;

namespace Flamingo.Client.Connecting;

/// <summary>
/// Sends calls as gRPC (HTTP/2) or as gRPC-Web (HTTP/1.1), whichever the server at the address answers. It asks with the call itself: the
/// first one is sent as gRPC, and is sent again as gRPC-Web only if the server did not begin to serve it, because it does not speak HTTP/2
/// or does not answer as gRPC. What answered last is tried first.
/// </summary>
internal sealed class EitherProtocol : DelegatingHandler
{
    private readonly HttpMessageInvoker _web;
    private readonly string _path;
    private volatile bool _prefersWeb, _hasAnswered;

    /// <param name="handler">Makes the connections. The caller disposes it.</param>
    /// <param name="path">The path below which a proxy serves the gateway, without a slash at its end; empty without one.</param>
    public EitherProtocol(HttpMessageHandler handler, string path)
        : base(handler) =>
        (_web, _path) = (new HttpMessageInvoker(new GrpcWebHandler(GrpcWebMode.GrpcWeb, handler), disposeHandler: false), path);

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        // gRPC's channel leaves out the path of its address
        if (_path.Length > 0)
            request.RequestUri = new UriBuilder(request.RequestUri!) { Path = _path + request.RequestUri!.AbsolutePath }.Uri;
        var (version, policy, content) = (request.Version, request.VersionPolicy, request.Content);
        var prefersWeb = _prefersWeb;
        var first = await TryAsync(prefersWeb);
        if (first.IsServed)
        {
            _hasAnswered = true;
            return first.Result();
        }

        var second = await TryAsync(!prefersWeb);
        if (!second.IsServed)
        {
            // Neither is served: the caller learns what gRPC's own protocol met.
            var (shown, other) = prefersWeb ? (second, first) : (first, second);
            other.Response?.Dispose();
            return shown.Result();
        }

        first.Response?.Dispose();
        (_prefersWeb, _hasAnswered) = (!prefersWeb, true);
        return second.Result();

        async Task<Attempt> TryAsync(bool web)
        {
            (request.Version, request.VersionPolicy, request.Content) =
                web ? (HttpVersion.Version11, HttpVersionPolicy.RequestVersionExact, content) : (version, policy, content);
            try
            {
                var response = web ? await _web.SendAsync(request, cancellationToken) : await base.SendAsync(request, cancellationToken);
                return new Attempt(response, null);
            }
            catch (HttpRequestException exception) when (IsOfAnotherProtocol(exception))
            {
                return new Attempt(null, exception);
            }
        }
    }

    // A server that speaks the other version of HTTP answers what the client cannot read, or closes the connection. The second also happens
    // to a call that is being served, and such a call must not be sent twice, so it means nothing once the server has answered.
    private bool IsOfAnotherProtocol(HttpRequestException exception) => exception.HttpRequestError switch
    {
        HttpRequestError.HttpProtocolError or HttpRequestError.InvalidResponse or HttpRequestError.VersionNegotiationError => true,
        HttpRequestError.SecureConnectionError => true, // TLS refuses a version of HTTP that the server does not speak
        HttpRequestError.Unknown or HttpRequestError.ResponseEnded => !_hasAnswered,
        _ => false, // the server cannot be reached
    };

    private readonly record struct Attempt(HttpResponseMessage? Response, HttpRequestException? Failure)
    {
        // An answer of gRPC has its content type even if it has no message. An answer of a proxy in the way has not.
        public bool IsServed =>
            Response?.Content.Headers.ContentType?.MediaType?.StartsWith("application/grpc", StringComparison.Ordinal) == true;

        public HttpResponseMessage Result()
        {
            if (Failure is not null) ExceptionDispatchInfo.Throw(Failure);
            return Response!;
        }
    }
}
