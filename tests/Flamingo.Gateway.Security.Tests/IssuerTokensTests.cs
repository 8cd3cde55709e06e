using System.Net;
using System.Security.Cryptography;
using Flamingo.Abstractions;
using Flamingo.Gateway.Security.Keys;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Flamingo.Gateway.Security.Tests;

/// <summary>Tokens of an issuer on this machine, beside keys.</summary>
public sealed class IssuerTokensTests
{
    // Two keys for all tests, because making one takes a second.
    private static readonly RSA IssuersKey = RSA.Create(2048), OtherKey = RSA.Create(2048);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact(Timeout = 60_000)]
    public async Task A_token_stands_for_its_tenant_and_role_beside_keys()
    {
        await using var issuer = await Issuer.StartAsync();
        await using var server = await SecuredServer.StartAsync(options: issuer.Options);
        var encode = new FlamingoEncodeRequest([new FlamingoPictureId(new string('0', 64))]);
        await server.Client(issuer.Token(server, change: token => token.Claims.Remove("sub"))).EncodeAsync(encode, Cancellation);
        await server.Client(server.NewKey("paris")).EncodeAsync(encode, Cancellation);
        Assert.Equal(["berlin", "paris"], server.Flamingo.Tenants);

        await server.Client(issuer.Token(server, change: token => token.Claims["roles"] = (string[])["reader", "flamingo-operator"]))
            .LatentCache.ClearAsync(Cancellation);
        await server.Client(issuer.Token(server, change: token => token.Claims["roles"] = "flamingo-operator"))
            .LatentCache.ClearAsync(Cancellation);
        var refused = await Assert.ThrowsAsync<FlamingoException>(
            () => server.Client(issuer.Token(server)).LatentCache.ClearAsync(Cancellation));
        Assert.Equal(FlamingoErrorKind.PermissionDenied, refused.Kind);
    }

    public static TheoryData<string, string> WrongTokens => new()
    {
        { "expired", "expired" }, { "future", "not valid yet" }, { "endless", "names no end" }, { "audience", "Security:Audience" },
        { "issuer", "Security:Issuer" }, { "other key", "signature" }, { "none", "" }, { "symmetric", "" }, { "no tenant", "'tenant'" },
        { "bad tenant", "'tenant'" }, { "two tenants", "'tenant'" }, { "changed", "signature" }, { "text", "neither a key" },
    };

    [Theory(Timeout = 60_000), MemberData(nameof(WrongTokens))]
    public async Task A_token_that_does_not_hold_is_refused_with_the_reason(string kind, string reason)
    {
        await using var issuer = await Issuer.StartAsync();
        await using var server = await SecuredServer.StartAsync(hasKeys: false, options: issuer.Options);
        var now = server.Time.GetUtcNow().UtcDateTime;
        var token = kind switch
        {
            "expired" => issuer.Token(server, token => token.Expires = now - TimeSpan.FromMinutes(1)),
            "future" => issuer.Token(server, token => token.NotBefore = now + TimeSpan.FromMinutes(2)),
            "endless" => issuer.Token(server, token => token.Expires = null),
            "audience" => issuer.Token(server, token => token.Audience = "others"),
            "issuer" => issuer.Token(server, token => token.Issuer = "https://evil.example.org"),
            "other key" => issuer.Token(server, token => token.SigningCredentials = new SigningCredentials(
                new RsaSecurityKey(OtherKey) { KeyId = Issuer.KeyId }, SecurityAlgorithms.RsaSha256)),
            "none" => issuer.Token(server, token => token.SigningCredentials = null),
            "symmetric" => issuer.Token(server, token => token.SigningCredentials = new SigningCredentials(
                new SymmetricSecurityKey(issuer.PublicKey) { KeyId = Issuer.KeyId }, SecurityAlgorithms.HmacSha256)),
            "no tenant" => issuer.Token(server, token => token.Claims.Remove("tenant")),
            "bad tenant" => issuer.Token(server, token => token.Claims["tenant"] = "a b"),
            "two tenants" => issuer.Token(server, token => token.Claims["tenant"] = (string[])["berlin", "paris"]),
            "changed" => Changed(issuer.Token(server), issuer.Token(server, token => token.Claims["tenant"] = "paris")),
            _ => "no.token.at.all",
        };
        var refused = await Assert.ThrowsAsync<FlamingoException>(() => server.Client(token).GetModelAsync(Cancellation));
        Assert.Equal(FlamingoErrorKind.Unauthenticated, refused.Kind);
        Assert.Contains(reason, refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(server.Logs, line => line.Contains(token, StringComparison.Ordinal));
        await server.Client(issuer.Token(server)).GetModelAsync(Cancellation);

        // The head and the signature of one token around the claims of another.
        static string Changed(string one, string two) => $"{one.Split('.')[0]}.{two.Split('.')[1]}.{one.Split('.')[2]}";
    }

    [Fact(Timeout = 60_000)]
    public async Task While_the_issuer_is_away_tokens_are_unavailable_and_keys_hold()
    {
        var issuer = await Issuer.StartAsync();
        await using var server = await SecuredServer.StartAsync(options: issuer.Options);
        var token = issuer.Token(server);
        await issuer.DisposeAsync();
        var refused = await Assert.ThrowsAsync<FlamingoException>(() => server.Client(token).GetModelAsync(Cancellation));
        Assert.Equal(FlamingoErrorKind.Unavailable, refused.Kind);
        Assert.Contains(server.Logs, line => line.StartsWith("6304 Warning", StringComparison.Ordinal));
        using var answer = await server.GetAsync("/v1/models", token);
        Assert.Equal((HttpStatusCode.ServiceUnavailable, TimeSpan.FromSeconds(5)), (answer.StatusCode, answer.Headers.RetryAfter!.Delta));
        await server.Client(server.NewKey("paris")).GetModelAsync(Cancellation);
    }

    [Theory(Timeout = 60_000)]
    [InlineData("Security:Issuer", "http://login.example.org", "Security:Issuer")]
    [InlineData("Security:Issuer", "login", "Security:Issuer")]
    [InlineData("Security:Audience", "", "Security:Audience")]
    [InlineData("Security:CorsOrigins", "https://app.example.org/path", "Security:CorsOrigins")]
    public async Task Wrong_options_are_refused_at_the_start(string option, string value, string named)
    {
        var refused = await Assert.ThrowsAsync<OptionsValidationException>(() => SecuredServer.StartAsync(
            hasKeys: false,
            options: [("Security:Issuer", "https://login.example.org"), ("Security:Audience", "flamingo"), (option, value)]));
        Assert.Contains(named, Assert.Single(refused.Failures), StringComparison.Ordinal);
    }

    /// <summary>An OpenID issuer on this machine: its configuration, its public key, and tokens signed by the private one.</summary>
    private sealed class Issuer : IAsyncDisposable
    {
        public const string KeyId = "key-1";

        private readonly WebApplication _app;

        private Issuer()
        {
            var builder = WebApplication.CreateSlimBuilder();
            builder.Logging.ClearProviders();
            builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
            _app = builder.Build();
        }

        public (string, string)[] Options => [("Security:Issuer", Address), ("Security:Audience", "flamingo")];

        public byte[] PublicKey => IssuersKey.ExportRSAPublicKey();

        private string Address => _app.Urls.Single();

        public static async Task<Issuer> StartAsync()
        {
            var issuer = new Issuer();
            issuer._app.MapGet("/.well-known/openid-configuration", () => Results.Json(new
            {
                issuer = issuer.Address, jwks_uri = issuer.Address + "/keys",
            }));
            issuer._app.MapGet("/keys", () =>
            {
                var parameters = IssuersKey.ExportParameters(includePrivateParameters: false);
                return Results.Json(new
                {
                    keys = new[]
                    {
                        new
                        {
                            kty = "RSA", use = "sig", kid = KeyId, n = Base64UrlEncoder.Encode(parameters.Modulus),
                            e = Base64UrlEncoder.Encode(parameters.Exponent),
                        },
                    },
                });
            });
            await issuer._app.StartAsync();
            return issuer;
        }

        public string Token(SecuredServer server, Action<SecurityTokenDescriptor>? change = null)
        {
            var now = server.Time.GetUtcNow().UtcDateTime;
            var token = new SecurityTokenDescriptor
            {
                Issuer = Address, Audience = "flamingo", IssuedAt = now, NotBefore = now, Expires = now + TimeSpan.FromMinutes(5),
                Claims = new Dictionary<string, object> { ["sub"] = "someone", ["tenant"] = "berlin" },
                SigningCredentials = new SigningCredentials(new RsaSecurityKey(IssuersKey) { KeyId = KeyId }, SecurityAlgorithms.RsaSha256),
            };
            change?.Invoke(token);
            return new JsonWebTokenHandler { SetDefaultTimesOnTokenCreation = false }.CreateToken(token);
        }

        public ValueTask DisposeAsync() => _app.DisposeAsync();
    }
}
