using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Flamingo.Abstractions;
using Flamingo.Client;
using Flamingo.Fixtures;
using Flamingo.ServiceDefaults;
using Flamingo.Testing;
using Flamingo.Transport.Serving;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Doors.Tests.Ports;

/// <summary>
/// With TLS a port may speak both versions of HTTP, and the version says nothing about gRPC: the client finds out by the answer.
/// </summary>
public sealed class TlsTests
{
    [Theory(Timeout = 60_000)]
    [InlineData(HttpProtocols.Http1, true), InlineData(HttpProtocols.Http1AndHttp2, true), InlineData(HttpProtocols.Http2, false)]
    public async Task A_client_finds_out_what_an_https_address_speaks(HttpProtocols protocols, bool isHttpPort)
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        request.CertificateExtensions.Add(names.Build());
        using var made = request.CreateSelfSigned(DateTimeOffset.UnixEpoch, new DateTimeOffset(2100, 1, 1, 0, 0, 0, TimeSpan.Zero));
        using var certificate = X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pfx), null);
        var port = FreePort.Next();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port, listen =>
        {
            listen.Protocols = protocols;
            listen.UseHttps(certificate);
        }));
        var model = new ScriptedModel();
        builder.Services.AddSingleton<IFlamingo>(model).AddSingleton<ISupportSets>(model);
        builder.Services.AddStageServing().AddHttpDoors();
        builder.Services.Configure<EndpointOptions>(endpoints => endpoints.HttpPort = isHttpPort ? port : 0);
        await using var app = builder.Build();
        app.UseHttpDoors().MapFlamingo().MapHttpDoors();
        await app.StartAsync(TestContext.Current.CancellationToken);
        using var client = new FlamingoClient(new FlamingoClientOptions
        {
            Addresses = [$"https://localhost:{port}"], TrustedCertificates = [certificate],
        });
        for (var call = 0; call < 2; call++)
        {
            List<int> ids = [];
            await foreach (var item in client.GenerateAsync(
                new FlamingoRequest([new FlamingoText("a")], new SamplingParameters()), TestContext.Current.CancellationToken))
                ids.AddRange((item as AnswerTokens)?.Ids ?? []);
            Assert.Equal([5, 6], ids);
        }
    }
}
