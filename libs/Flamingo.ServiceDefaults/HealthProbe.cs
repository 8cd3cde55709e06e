using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;

namespace Flamingo.ServiceDefaults;

/// <summary>The assembly's own health call, for containers without curl: exit code 0 while the service answers SERVING.</summary>
public static class HealthProbe
{
    public const string Argument = "--health";

    public static async Task<int> RunAsync(int port)
    {
        // below the ten seconds that a container's health check waits: a busy machine is not a sick service
        using var channel = GrpcChannel.ForAddress($"http://127.0.0.1:{port}");
        try
        {
            var answer = await new Health.HealthClient(channel)
                .CheckAsync(new HealthCheckRequest(), new CallOptions(deadline: TimeProvider.System.GetUtcNow().UtcDateTime.AddSeconds(8)));
            await Console.Out.WriteLineAsync(answer.Status.ToString());
            return answer.Status == HealthCheckResponse.Types.ServingStatus.Serving ? 0 : 1;
        }
        catch (RpcException exception)
        {
            var reason = exception.Status.DebugException?.GetBaseException().Message ?? exception.Status.Detail;
            await Console.Error.WriteLineAsync($"No health from port {port}: {reason}");
            return 1;
        }
    }
}
