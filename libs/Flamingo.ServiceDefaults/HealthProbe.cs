using Flamingo.Configuration.Certificates;
using Flamingo.ServiceDefaults.Security;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;

namespace Flamingo.ServiceDefaults;

/// <summary>
/// Health check of a running service by the same program, for containers without curl. The exit code is 0 if the service answers
/// SERVING and 1 otherwise.
/// </summary>
public static class HealthProbe
{
    private const string Argument = "--health";

    /// <summary>
    /// Reads an argument of the form <c>--health</c> or <c>--health=NAME</c>, where the name is one of <see cref="ServiceHealth"/>.
    /// </summary>
    /// <returns>The name, which is empty for the first form; null for any other argument.</returns>
    public static string? ServiceIn(string argument) =>
        argument == Argument ? ""
        : argument.StartsWith(Argument + "=", StringComparison.Ordinal) ? argument[(Argument.Length + 1)..] : null;

    /// <param name="service">Name of the health service to ask for.</param>
    /// <param name="tls">The service's options of TLS, null for none. The probe shows the service's own certificate to a service that asks for one.</param>
    public static async Task<int> RunAsync(int port, string service, TlsOptions? tls = null)
    {
        // The deadline of 8 s is below the 10 s that a container's health check waits. It is long, because a service on a busy
        // machine is slow and not unhealthy.
        using var handler = new SocketsHttpHandler();
        if (tls is { IsOn: true })
        {
            var (certificate, key) = (tls.Certificate.Read(), tls.Key.Read());
            // A service whose certificate has expired does not become healthy by a restart, so the probe does not look at the time.
            handler.SslOptions.ClientCertificateContext =
                OwnCertificate.Parse(tls.Certificate, certificate, tls.Key, key, CertificateUse.Server, now: null).Context;
            // The probe asks whether the service of this machine answers, and sends nothing secret. The certificate names what others
            // call the service, and not this machine.
            handler.SslOptions.RemoteCertificateValidationCallback = static (_, _, _, _) => true;
        }

        using var channel = GrpcChannel.ForAddress(
            $"{(tls is { IsOn: true } ? "https" : "http")}://127.0.0.1:{port}", new GrpcChannelOptions { HttpHandler = handler });
        try
        {
            var answer = await new Health.HealthClient(channel).CheckAsync(
                new HealthCheckRequest { Service = service }, deadline: TimeProvider.System.GetUtcNow().UtcDateTime.AddSeconds(8));
            await Console.Out.WriteLineAsync(answer.Status.ToString());
            return answer.Status == HealthCheckResponse.Types.ServingStatus.Serving ? 0 : 1;
        }
        catch (RpcException exception)
        {
            var reason = exception.Status.DebugException?.GetBaseException().Message ?? exception.Status.Detail;
            await Console.Error.WriteLineAsync($"The health check at port {port} failed: {reason}");
            return 1;
        }
    }
}
