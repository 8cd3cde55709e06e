using Flamingo.Abstractions;
using Flamingo.Client;
using Flamingo.Fixtures;
using Flamingo.Testing.Certificates;

namespace Flamingo.SystemTests.Distributed;

/// <summary>
/// Four processes with mutual TLS between gateway and stages, each with a certificate of its own name. The stages are found by a DNS name
/// that has two addresses, so that names are checked at connections that are made by address.
/// </summary>
public sealed class TlsTests(Stack shared) : HostTests(shared), IDisposable
{
    private static readonly string[] Services = ["VisionEncoder", "Resampler", "LanguageModel", "Gateway"];

    private readonly TestAuthority _authority = new("First root"), _next = new("Second root");
    private readonly Dictionary<string, MountedSecret> _secrets = Services.ToDictionary(name => name, _ => new MountedSecret());

    private static readonly Prompt Prompt = new Prompt().Text("A picture of");

    public void Dispose()
    {
        GC.SuppressFinalize(this);
        _authority.Dispose();
        _next.Dispose();
        foreach (var secret in _secrets.Values) secret.Dispose();
    }

    [Fact(Timeout = 240_000)]
    public async Task Certificates_of_all_processes_and_their_authority_change_under_load_and_no_call_fails()
    {
        Issue(_authority, _authority.Pem);
        var stages = await StagesAsync();
        var gateway = await GatewayAsync(stages);
        Assert.All(stages.Append(gateway), process => Assert.Contains("with TLS", process.Report(), StringComparison.Ordinal));

        var (stop, answered) = (new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously), 0);
        using var open = Client(gateway, _authority);
        var callers = Enumerable.Range(0, 3).Select(caller => Task.Run(async () =>
        {
            while (!stop.Task.IsCompleted)
            {
                // One caller keeps its connection, and the others make one for each call. They trust both roots all the time.
                using var own = caller == 0 ? null : Client(gateway, _authority, _next);
                await (own ?? open).CompleteAsync(Prompt, new() { MaxTokens = 2 }, Cancellation);
                Interlocked.Increment(ref answered);
            }
        }, Cancellation)).ToList();

        // As an operator changes the root: first everybody trusts both, then certificates are of the new one, then the old one goes.
        Issue(_authority, _authority.Pem + "\n" + _next.Pem);
        await RenewedAsync(1);
        var second = await GatewayAsync(stages);
        Issue(_next, _authority.Pem + "\n" + _next.Pem);
        await RenewedAsync(2);
        Issue(_next, _next.Pem);
        await RenewedAsync(3);
        var third = await GatewayAsync(stages); // it connects to all stages by what they read last
        using (var client = Client(third, _next)) await client.CompleteAsync(Prompt, new() { MaxTokens = 2 }, Cancellation);
        using (var client = Client(second, _next)) await client.CompleteAsync(Prompt, new() { MaxTokens = 2 }, Cancellation);
        using (var client = Client(third, _authority))
            await Assert.ThrowsAsync<FlamingoException>(() => client.GetModelAsync(Cancellation));

        var before = Volatile.Read(ref answered);
        while (Volatile.Read(ref answered) < before + 20 && callers.TrueForAll(caller => !caller.IsCompleted)) await Task.Yield();
        stop.SetResult();
        await Task.WhenAll(callers); // rethrows the failure of a call
        foreach (var stage in stages)
            Assert.Contains("CN=Second root", await IssuerAsync(stage), StringComparison.Ordinal);

        // The gateway reads its certificate again at the next connection of a caller.
        async Task RenewedAsync(int times) => await gateway.SaidAsync("[1020]", times + 1);
    }

    [Fact(Timeout = 240_000)]
    public async Task Health_probes_show_the_service_its_own_certificate_and_a_stage_serves_only_the_gateway()
    {
        Issue(_authority, _authority.Pem);
        var stages = await StagesAsync();
        var gateway = await GatewayAsync(stages);
        foreach (var (process, service) in stages.Append(gateway).Zip(Services))
        {
            var probe = Start(service, process.Port, Options(service, [.. stages.Select(stage => stage.Port)]), "--health");
            Assert.True(await probe.ExitAsync() == 0, probe.Report());
            var plain = Start(service, process.Port, null, "--health");
            Assert.Equal(1, await plain.ExitAsync());
        }

        // A gateway of another name, and one without a certificate, is not ready and says why.
        _secrets["Gateway"].Put(_authority.Issue("stranger", "localhost"), _authority.Pem);
        var stranger = await GatewayAsync(stages, ready: false);
        await stages[0].SaidAsync("has none of the names of Tls:ClientNames (gateway)");
        using var client = Client(stranger, _authority);
        Assert.Equal(
            FlamingoErrorKind.Unavailable, (await Assert.ThrowsAsync<FlamingoException>(() => client.GetModelAsync(Cancellation))).Kind);

        // A stage under another stage's name is refused by the gateway.
        _secrets["Gateway"].Put(_authority.Issue("gateway", "localhost"), _authority.Pem);
        var crossed = await GatewayAsync(stages, ready: false, ("Stages__ResamplerName", "vision-encoder"));
        using var other = Client(crossed, _authority);
        var refusal = await Assert.ThrowsAsync<FlamingoException>(() => other.GetModelAsync(Cancellation));
        Assert.Contains("does not have the name 'vision-encoder'", refusal.Message, StringComparison.Ordinal);
    }

    private void Issue(TestAuthority authority, string trusted)
    {
        foreach (var (service, secret) in _secrets) secret.Put(authority.Issue(NameOf(service), "localhost"), trusted);
    }

    private async Task<IReadOnlyList<HostProcess>> StagesAsync()
    {
        List<HostProcess> stages = [.. Services[..3].Select(service => Start(service, null, Options(service, [])))];
        foreach (var stage in stages) await stage.ReadyAsync();
        return stages;
    }

    private async Task<HostProcess> GatewayAsync(
        IReadOnlyList<HostProcess> stages, bool ready = true, params (string Option, string Value)[] options)
    {
        int[] ports = [.. stages.Select(stage => stage.Port)];
        var gateway = await StartReadyAsync("Gateway", null, [.. Options("Gateway", ports), .. options]);
        if (!ready) return gateway;
        using var client = Client(gateway, _authority, _next);
        await client.GetModelAsync(Cancellation);
        return gateway;
    }

    /// <param name="stages">Ports of the stages, for a gateway.</param>
    private (string Option, string Value)[] Options(string service, int[] stages)
    {
        var secret = _secrets[service];
        (string, string)[] own = [("Tls__CertificateFile", secret.CertificateFile), ("Tls__KeyFile", secret.KeyFile)];
        return service != "Gateway" ? [.. own, ("Tls__ClientCaFile", secret.CaFile), ("Tls__ClientNames", "gateway")]
            :
            [
                .. own, ("Stages__CaFile", secret.CaFile), ("Stages__CertificateFile", secret.CertificateFile),
                ("Stages__KeyFile", secret.KeyFile),
                .. Services[..3].Zip(stages).SelectMany(stage => new[]
                {
                    ($"Stages__{stage.First}", $"dns:///localhost:{stage.Second}"), ($"Stages__{stage.First}Name", NameOf(stage.First)),
                }),
            ];
    }

    private static string NameOf(string service) => service switch
    {
        "VisionEncoder" => "vision-encoder", "Resampler" => "resampler", "LanguageModel" => "language-model", _ => "gateway",
    };

    private static FlamingoClient Client(HostProcess gateway, params TestAuthority[] trusted) => new(new FlamingoClientOptions
    {
        Addresses = [$"https://localhost:{gateway.Port}"], TrustedCertificates = [.. trusted.Select(authority => authority.Certificate)],
    });

    private async Task<string> IssuerAsync(HostProcess stage)
    {
        using var socket = new System.Net.Sockets.TcpClient();
        await socket.ConnectAsync(System.Net.IPAddress.Loopback, stage.Port, Cancellation);
        using var tls = new System.Net.Security.SslStream(socket.GetStream());
        var issuer = "";
        await tls.AuthenticateAsClientAsync(new System.Net.Security.SslClientAuthenticationOptions
        {
            TargetHost = "localhost",
            RemoteCertificateValidationCallback = (_, certificate, _, _) => (issuer = certificate!.Issuer).Length > 0,
        }, Cancellation);
        return issuer;
    }
}
