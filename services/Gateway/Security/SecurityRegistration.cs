using System.Globalization;
using Flamingo.Abstractions;
using Flamingo.Configuration;
using Flamingo.Gateway.Security.Keys;
using Flamingo.Gateway.Security.Limits;
using Flamingo.Wire;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Flamingo.Gateway.Security;

/// <summary>Registers keys, tokens, limits per tenant and CORS, which all are off unless options turn them on.</summary>
public static class SecurityRegistration
{
    private static readonly string[] HeadersForPages =
        ["grpc-status", "grpc-message", "grpc-status-details-bin", "retry-after", "www-authenticate", "x-request-id",
            ErrorWire.TraceHeader];

    /// <summary>Registers security on top of the registered pipeline, whose calls it counts.</summary>
    public static IServiceCollection AddFlamingoSecurity(this IServiceCollection services)
    {
        services.AddOptionSection<SecurityOptions>(SecurityOptions.Section)
            .Validate(
                options => options.Issuer.Length == 0 || SecurityOptions.IsIssuer(options.Issuer),
                "Security:Issuer is no issuer. Give an https address, such as https://login.example.org/realms/flamingo; http is accepted "
                + "on this machine only.")
            .Validate(
                options => options.Issuer.Length == 0 || options.Audience.Length > 0,
                "Security:Audience is empty. Give the audience that tokens of Security:Issuer must name.")
            .Validate(
                options => options.Origins.All(SecurityOptions.IsOrigin),
                "Security:CorsOrigins is no list of origins. Give scheme, host and port without a path, such as https://app.example.org, "
                + "separated by commas, or *.");
        services.AddOptionSection<LimitOptions>(LimitOptions.Section);
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<SecurityMetrics>();
        services.AddSingleton<TenantLimits>();
        services.AddCors();
        services.AddRateLimiter();
        services.AddOptions<RateLimiterOptions>().Configure<TenantLimits>((options, limits) =>
            (options.GlobalLimiter, options.OnRejected) = (limits.Requests, limits.RefuseAsync));
        Limit<IFlamingo>(services, (calls, limits) => new LimitedFlamingo(calls, limits));
        Limit<ISupportSets>(services, (sets, limits) => new LimitedSupportSets(sets, limits));
        return services;
    }

    /// <summary>
    /// Puts security in front of everything that the app serves; call it before other middleware. Endpoints that everybody may call say so
    /// by <c>AllowAnonymous()</c>.
    /// </summary>
    /// <exception cref="OptionsValidationException">The keys file is missing or wrong.</exception>
    public static WebApplication UseFlamingoSecurity(this WebApplication app)
    {
        var options = app.Services.GetRequiredService<IOptions<SecurityOptions>>().Value;
        if (options.Origins is { Count: > 0 } origins)
            app.UseCors(policy => (origins.Contains("*") ? policy.AllowAnyOrigin() : policy.WithOrigins([.. origins]))
                .AllowAnyHeader().AllowAnyMethod().WithExposedHeaders(HeadersForPages));
        if (options.IsOn) app.Use(Check(app.Services, options).CheckAsync);
        else app.Lifetime.ApplicationStarted.Register(() => WarnIfReachable(app));
        app.Lifetime.ApplicationStarted.Register(() => Tell(app, options));
        if (app.Services.GetRequiredService<TenantLimits>().Requests is not null) app.UseRateLimiter();
        return app;
    }

    private static CallerCheck Check(IServiceProvider services, SecurityOptions options)
    {
        var (time, logs) = (services.GetRequiredService<TimeProvider>(), services.GetRequiredService<ILoggerFactory>());
        try
        {
            var keys = options.KeysFile.Length == 0 ? null
                : new KeyRing(new KeyFile(options.KeysFile), time, logs.CreateLogger<KeyRing>());
            var tokens = options.Issuer.Length == 0 ? null : new IssuerTokens(options, time, logs.CreateLogger<IssuerTokens>());
            return new CallerCheck(
                keys, tokens, services.GetRequiredService<SecurityMetrics>(), time, logs.CreateLogger<CallerCheck>());
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new OptionsValidationException("", typeof(SecurityOptions), [$"Security:KeysFile: {exception.Message}"]);
        }
    }

    private static void Tell(WebApplication app, SecurityOptions options)
    {
        string[] callers =
        [
            .. options.KeysFile.Length > 0 ? [$"a key of {options.KeysFile}"] : Array.Empty<string>(),
            .. options.Issuer.Length > 0 ? [$"a token of {options.Issuer}"] : Array.Empty<string>(),
        ];
        var limits = app.Services.GetRequiredService<IOptions<LimitOptions>>().Value;
        app.Services.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(SecurityRegistration)).Secured(
            callers.Length == 0 ? "no key" : string.Join(" or ", callers), limits.RequestsPerMinute, limits.PicturesPerMinute,
            limits.TokensPerMinute, limits.ConcurrentRequests, options.Origins.Count == 0 ? "none" : string.Join(", ", options.Origins));
    }

    private static void WarnIfReachable(WebApplication app)
    {
        // The management port takes no calls of callers.
        var management = app.Configuration["Endpoints:ManagementPort"];
        var reachable = app.Urls.Select(BindingAddress.Parse)
            .Where(url => !IsLoopback(url.Host) && url.Port.ToString(CultureInfo.InvariantCulture) != management).ToList();
        if (reachable.Count > 0)
            app.Services.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(SecurityRegistration)).Open(string.Join(", ", reachable));
    }

    private static bool IsLoopback(string host) =>
        host == "localhost" || (System.Net.IPAddress.TryParse(host, out var address) && System.Net.IPAddress.IsLoopback(address));

    // The registered implementation gets a key, under which the one that counts finds it.
    private static void Limit<T>(IServiceCollection services, Func<T, TenantLimits, T> limit)
        where T : class
    {
        const string Unlimited = "unlimited";
        if (services.LastOrDefault(service => service.ServiceType == typeof(T) && !service.IsKeyedService) is not { } inner) return;
        services.Remove(inner);
        services.Add(inner switch
        {
            { ImplementationInstance: { } instance } => new ServiceDescriptor(typeof(T), Unlimited, instance),
            { ImplementationFactory: { } create } =>
                new ServiceDescriptor(typeof(T), Unlimited, (provider, _) => create(provider), inner.Lifetime),
            _ => new ServiceDescriptor(typeof(T), Unlimited, inner.ImplementationType!, inner.Lifetime),
        });
        services.AddSingleton(provider =>
        {
            var (calls, limits) = (provider.GetRequiredKeyedService<T>(Unlimited), provider.GetRequiredService<TenantLimits>());
            return limits.LimitUse ? limit(calls, limits) : calls;
        });
    }
}
