using System.Text.Json;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Flamingo.ServiceDefaults.Management;

/// <summary>
/// Health over HTTP: status 200 if all checks hold and 503 otherwise, with each check and the reason why it does not hold as JSON.
/// </summary>
internal static class HealthPage
{
    private static readonly JsonSerializerOptions Written = new() { WriteIndented = true };

    /// <param name="checks">The health checks that the page reports.</param>
    public static HealthCheckOptions Of(Func<HealthCheckRegistration, bool> checks) => new()
    {
        Predicate = checks, ResponseWriter = WriteAsync,
    };

    private static Task WriteAsync(HttpContext context, HealthReport report) => context.Response.WriteAsJsonAsync(
        new
        {
            status = Word(report.Status),
            checks = report.Entries.ToDictionary(
                check => check.Key, check => new { status = Word(check.Value.Status), reason = check.Value.Description }),
        }, Written, context.RequestAborted);

    // The words of the gRPC health service.
    private static string Word(HealthStatus status) => status == HealthStatus.Healthy ? "SERVING" : "NOT_SERVING";
}
