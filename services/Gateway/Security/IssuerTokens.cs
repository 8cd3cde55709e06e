using Flamingo.Abstractions;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Protocols;
using Microsoft.IdentityModel.Protocols.OpenIdConnect;
using Microsoft.IdentityModel.Tokens;

namespace Flamingo.Gateway.Security;

/// <summary>
/// Checks the tokens (JWT) of <see cref="SecurityOptions.Issuer"/>. The issuer's keys are read from its OpenID configuration with the first
/// token, twice a day, and when a token names a key that is not known, at most every five minutes.
/// </summary>
internal sealed class IssuerTokens : IDisposable
{
    private const int MostTokenBytes = 16 << 10, MostAnswerBytes = 1 << 20;

    private static readonly TimeSpan LongestAnswer = TimeSpan.FromSeconds(10), ClockSkew = TimeSpan.FromMinutes(1);

    // Only signatures by a private key that the issuer alone holds.
    private static readonly string[] Algorithms =
    [
        SecurityAlgorithms.RsaSha256, SecurityAlgorithms.RsaSha384, SecurityAlgorithms.RsaSha512,
        SecurityAlgorithms.RsaSsaPssSha256, SecurityAlgorithms.RsaSsaPssSha384, SecurityAlgorithms.RsaSsaPssSha512,
        SecurityAlgorithms.EcdsaSha256, SecurityAlgorithms.EcdsaSha384, SecurityAlgorithms.EcdsaSha512,
    ];

    private readonly SecurityOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly HttpClient _http = new() { Timeout = LongestAnswer, MaxResponseContentBufferSize = MostAnswerBytes };
    private readonly JsonWebTokenHandler _handler = new() { MapInboundClaims = false, MaximumTokenSizeInBytes = MostTokenBytes };
    private readonly ConfigurationManager<OpenIdConnectConfiguration> _issuer;
    private readonly TokenValidationParameters _rules;

    public IssuerTokens(SecurityOptions options, TimeProvider time, ILogger<IssuerTokens> log)
    {
        (_options, _time, _log) = (options, time, log);
        var isHere = new Uri(options.Issuer).Scheme == Uri.UriSchemeHttp;
        _issuer = new ConfigurationManager<OpenIdConnectConfiguration>(
            options.Issuer.TrimEnd('/') + "/.well-known/openid-configuration", new OpenIdConnectConfigurationRetriever(),
            new HttpDocumentRetriever(_http) { RequireHttps = !isHere });
        _rules = new TokenValidationParameters
        {
            ConfigurationManager = _issuer, ValidIssuer = options.Issuer, ValidAudience = options.Audience, ValidAlgorithms = Algorithms,
            LifetimeValidator = IsAlive,
        };
    }

    /// <exception cref="FlamingoException">Unauthenticated: the token does not hold; Unavailable: the issuer cannot be reached.</exception>
    public async Task<Caller> ReadAsync(string text, CancellationToken cancellation)
    {
        if (!_handler.CanReadToken(text))
            throw Caller.Unknown("The Authorization header holds neither a key of the form flm_ID_SECRET nor a token (JWT).");
        try
        {
            await _issuer.GetConfigurationAsync(cancellation);
        }
        catch (Exception exception) when (!cancellation.IsCancellationRequested)
        {
            _log.IssuerUnreached(_options.Issuer, exception.GetBaseException().Message);
            throw new FlamingoException(
                FlamingoErrorKind.Unavailable, "The issuer of tokens cannot be reached, so no token can be checked. Try again.", exception);
        }

        var result = await _handler.ValidateTokenAsync(text, _rules);
        if (!result.IsValid) throw Caller.Unknown($"The token is refused: {Reason(result.Exception)}");
        var token = (JsonWebToken)result.SecurityToken;
        var tenant = token.TryGetPayloadValue<string>(_options.TenantClaim, out var named) ? named : null;
        if (string.IsNullOrEmpty(tenant) || !TenantName.IsWellFormed(tenant))
            throw Caller.Unknown(
                $"The token's claim '{_options.TenantClaim}' (Security:TenantClaim) does not hold a tenant's name: 1 to "
                + $"{TenantName.MostCharacters} characters of A-Z a-z 0-9 . _ -");
        var isOperator = token.Claims.Any(claim => claim.Type == _options.RoleClaim && claim.Value == _options.OperatorRole);
        return new Caller(token.Subject is { Length: > 0 } subject ? subject : "a token", tenant, isOperator);
    }

    public void Dispose() => _http.Dispose();

    // The library's own check reads the clock of the machine.
    private bool IsAlive(DateTime? from, DateTime? until, SecurityToken token, TokenValidationParameters rules)
    {
        var now = _time.GetUtcNow().UtcDateTime;
        return until is { } end && now < end + ClockSkew && (from is not { } begin || now >= begin - ClockSkew);
    }

    // The library's messages quote the token.
    private string Reason(Exception failure) => failure switch
    {
        SecurityTokenInvalidLifetimeException => "it has expired, is not valid yet, or names no end. Get a new one.",
        SecurityTokenInvalidAudienceException => "it is not for this server's audience (Security:Audience).",
        SecurityTokenInvalidIssuerException => "it is not of this server's issuer (Security:Issuer).",
        SecurityTokenInvalidAlgorithmException => "it is signed by an algorithm that is not accepted. Use RS256, PS256 or ES256.",
        SecurityTokenSignatureKeyNotFoundException or SecurityTokenInvalidSignatureException =>
            "its signature is not that of the issuer (Security:Issuer).",
        _ => "it is not a valid token of this server's issuer.",
    };
}
