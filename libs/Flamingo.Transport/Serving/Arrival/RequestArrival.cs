using Flamingo.Abstractions;
using Flamingo.Configuration;
using Flamingo.Stages;
using Grpc.AspNetCore.Server.Model;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;

namespace Flamingo.Transport.Serving.Arrival;

/// <summary>Registers how requests arrive: their limits, the budget of bytes in flight, and the refusal of malformed ones.</summary>
internal static class RequestArrival
{
    // Kestrel closes a connection whose call has more metadata than this. Below it only the call fails, see ArrivingRequest. The sum is
    // larger than 256 KiB, because HTTP/2 counts 32 bytes for each entry besides its name and its value.
    private const int MostReceivedEntryBytes = 288 << 10, MostReceivedMetadataBytes = 512 << 10, MostReceivedEntries = 8192;

    public static void AddRequestArrival(this IServiceCollection services)
    {
        services.AddOptionSection<RequestOptions>(RequestOptions.Section);
        services.TryAddSingleton(TimeProvider.System);
        services.AddHttpContextAccessor();
        services.AddSingleton(provider => new ByteBudget(
            provider.GetRequiredService<IOptions<RequestOptions>>(),
            sharesByTenant: provider.GetRequiredService<IServiceProviderIsService>().IsService(typeof(IFlamingo))));
        services.AddSingleton(provider => new MemoryClaim("requests",
        [
            new("bytes in flight", provider.GetRequiredService<IOptions<RequestOptions>>().Value.MaxInFlightBytes,
                "lower Requests:MaxInFlightBytes"),
        ]));

        // gRPC's own binder of generated services is replaced. Its provider for ServerServiceDefinition stays.
        foreach (var binder in services.Where(service => service.ServiceType == typeof(IServiceMethodProvider<>)
            && service.ImplementationType?.Name.StartsWith("BinderServiceMethodProvider", StringComparison.Ordinal) == true).ToList())
            services.Remove(binder);
        services.TryAddEnumerable(ServiceDescriptor.Singleton(typeof(IServiceMethodProvider<>), typeof(BoundMethods<>)));

        services.AddSingleton<IStartupFilter, Filter>();
        services.Configure<KestrelServerOptions>(kestrel =>
        {
            kestrel.Limits.MaxRequestHeadersTotalSize = MostReceivedMetadataBytes;
            kestrel.Limits.Http2.MaxRequestHeaderFieldSize = MostReceivedEntryBytes;
            kestrel.Limits.MaxRequestHeaderCount = MostReceivedEntries;
            // Kestrel would close the connection, with the calls of all others on it. UploadTimeout ends the one call instead.
            kestrel.Limits.MinRequestBodyDataRate = null;
        });
    }

    private static bool IsGrpc(HttpContext context) =>
        context.Request.ContentType?.StartsWith("application/grpc", StringComparison.OrdinalIgnoreCase) == true;

    private sealed class Filter(ByteBudget budget, IOptions<RequestOptions> options, TimeProvider time) : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use(async (context, rest) =>
            {
                if (!IsGrpc(context))
                {
                    await rest(context); // the body of another protocol arrives as ArrivedBody
                    return;
                }

                using var request = new ArrivingRequest(context, budget, options.Value, time);
                context.Features.Set<IRequestBodyPipeFeature>(request);
                await rest(context);
            });
            next(app);
        };
    }
}
