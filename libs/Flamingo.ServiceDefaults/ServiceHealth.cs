using Flamingo.Configuration;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Flamingo.ServiceDefaults;

/// <summary>The gRPC health service and what it reports.</summary>
public static class ServiceHealth
{
    /// <summary>
    /// Name under which the service reports whether this process works or is stuck. It never depends on another process, so a supervisor
    /// may restart a process that is not live.
    /// </summary>
    public const string Live = "flamingo.live";

    /// <summary>
    /// Name under which the service reports whether requests can be served: the process is live, does not stop, and the stages that it
    /// needs can be reached and fit together. The empty name reports the same.
    /// </summary>
    public const string Ready = "flamingo.ready";

    private static readonly TimeSpan WatchPeriod = TimeSpan.FromSeconds(5), FirstWatch = TimeSpan.FromSeconds(1);

    internal static void AddServiceHealth(this IServiceCollection services)
    {
        services.AddOptionSection<HealthOptions>(HealthOptions.Section).Validate(
            options => options.ExitTimeout >= options.LiveTimeout,
            "Health:ExitTimeout is shorter than Health:LiveTimeout. Give at least the same time.");
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(provider => new Watchdog(
            provider.GetServices<WorkerGroup>(), provider.GetRequiredService<IOptions<HealthOptions>>(),
            provider.GetRequiredService<IOptions<EndpointOptions>>(), provider.GetRequiredService<IHostApplicationLifetime>(),
            provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<Watchdog>>(),
            code => Watchdog.ExitProcess(provider.GetRequiredService<ILoggerFactory>(), code)));
        services.AddHostedService(provider => provider.GetRequiredService<Watchdog>());
        services.AddSingleton<ReadyCheck>();
        services.AddGrpcHealthChecks(health =>
        {
            health.Services.Clear();
            health.Services.Map(Live, check => check.Name == Live);
            health.Services.Map(Ready, _ => true);
            health.Services.Map("", _ => true);
        }).AddCheck<LiveCheck>(Live).AddCheck<ReadyCheck>(Ready);
        // Watch reports changes with this period. Check always runs the checks.
        services.Configure<HealthCheckPublisherOptions>(publisher => (publisher.Delay, publisher.Period) = (FirstWatch, WatchPeriod));
        // The service logs changes itself. ASP.NET Core would log every failed check.
        services.AddLogging(logging => logging.AddFilter("Microsoft.Extensions.Diagnostics.HealthChecks", LogLevel.None));
    }

    private sealed class LiveCheck(Watchdog watchdog) : IHealthCheck
    {
        public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken) =>
            Task.FromResult(watchdog.Stuck is { } stuck ? HealthCheckResult.Unhealthy(stuck) : HealthCheckResult.Healthy());
    }

    private sealed class ReadyCheck(IEnumerable<IReadiness> conditions, IHostApplicationLifetime lifetime, ILogger<ReadyCheck> log)
        : IHealthCheck
    {
        private string? _problem;

        public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken)
        {
            if (lifetime.ApplicationStopping.IsCancellationRequested) return HealthCheckResult.Unhealthy("The service is stopping.");
            var problem = await ProblemAsync(cancellationToken);
            var before = Interlocked.Exchange(ref _problem, problem);
            // A new reason is logged too: "has not answered" may become "cannot be reached", which tells an operator more.
            if (problem is not null && problem != before) log.NotReady(problem);
            if (problem is null && before is not null) log.ReadyAgain();
            return problem is null ? HealthCheckResult.Healthy() : HealthCheckResult.Unhealthy(problem);
        }

        private async Task<string?> ProblemAsync(CancellationToken cancellation)
        {
            try
            {
                foreach (var condition in conditions) await condition.CheckAsync(cancellation);
                return null;
            }
            catch (Exception exception) when (!cancellation.IsCancellationRequested)
            {
                return exception.Message;
            }
        }
    }
}
