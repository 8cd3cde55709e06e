using System.IO.Pipelines;
using Flamingo.Abstractions;
using Flamingo.Configuration;
using Flamingo.Stages;
using Grpc.AspNetCore.Server.Model;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Flamingo.Transport.Serving.Arrival;

/// <summary>Registers how requests arrive: their limits, the budget of bytes in flight, and the refusal of malformed ones.</summary>
public static class RequestArrival
{
    // Kestrel closes a connection whose call has more metadata than this. Below it only the call fails, see ArrivingRequest. The sum is
    // larger than 256 KiB, because HTTP/2 counts 32 bytes for each entry besides its name and its value.
    private const int MostReceivedEntryBytes = 288 << 10, MostReceivedMetadataBytes = 512 << 10, MostReceivedEntries = 8192;

    private const int CancelledStream = 8; // CANCEL of HTTP/2

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

        services.ReplaceBinder();

        services.AddSingleton<IStartupFilter, Filter>();
        services.Configure<KestrelServerOptions>(kestrel =>
        {
            kestrel.Limits.MaxRequestHeadersTotalSize = MostReceivedMetadataBytes;
            kestrel.Limits.Http2.MaxRequestHeaderFieldSize = MostReceivedEntryBytes;
            kestrel.Limits.MaxRequestHeaderCount = MostReceivedEntries;
        });
    }

    private static bool IsGrpc(HttpContext context) =>
        context.Request.ContentType?.StartsWith("application/grpc", StringComparison.OrdinalIgnoreCase) == true;

    /// <summary>
    /// Replaces gRPC's own binder of generated services, which AddGrpc registers, by ours. Call it after the last AddGrpc: two binders
    /// would map each method twice. The provider for ServerServiceDefinition stays.
    /// </summary>
    public static IServiceCollection ReplaceBinder(this IServiceCollection services)
    {
        foreach (var binder in services.Where(service => service.ServiceType == typeof(IServiceMethodProvider<>)
            && service.ImplementationType?.Name.StartsWith("BinderServiceMethodProvider", StringComparison.Ordinal) == true).ToList())
            services.Remove(binder);
        services.TryAddEnumerable(ServiceDescriptor.Singleton(typeof(IServiceMethodProvider<>), typeof(BoundMethods<>)));
        return services;
    }

    private sealed class Filter(ByteBudget budget, IOptions<RequestOptions> options, TimeProvider time, ILogger<RequestOptions> log)
        : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            log.Limits(options.Value.MaxInFlightBytes, budget.LargestMessage, options.Value.TransferTimeout);
            app.Use(async (context, rest) =>
            {
                if (!IsGrpc(context))
                {
                    await rest(context); // bodies of other protocols are received by ArrivedBody
                    return;
                }

                // Kestrel would close the connection, with the calls of all others on it. TransferTimeout ends the one call instead.
                if (context.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } rate) rate.MinDataRate = null;
                // The server's own body, because others may have set one that bounds the time of a flush whatever its size.
                var answer = context.Features.GetRequiredFeature<IHttpResponseBodyFeature>().Writer;
                using (var request = new ArrivingRequest(context, budget, options.Value, time))
                {
                    context.Features.Set<IRequestBodyPipeFeature>(request);
                    await rest(context);
                }

                if (answer is { CanGetUnflushedBytes: true, UnflushedBytes: > 0 and var bytes }) await DeliverAsync(context, answer, bytes);
            });
            next(app);
        };

        // An answer of one message is sent when its call has ended. Streams send each message, and bound the time by themselves.
        private async Task DeliverAsync(HttpContext context, PipeWriter answer, long bytes)
        {
            var longest = options.Value.TransferTimeout * (1 + (bytes / ArrivalRules.BytesPerTimeout));
            using var stalled = new CancellationTokenSource(longest, time);
            try
            {
                if (!(await answer.FlushAsync(stalled.Token)).IsCanceled) return;
            }
            catch (OperationCanceledException)
            {
                // as for a flush that reports it
            }

            if (!stalled.IsCancellationRequested) return;
            log.AnswerNotRead(context.Request.Path, bytes, longest.TotalSeconds);
            if (context.Features.Get<IHttpResetFeature>() is { } stream) stream.Reset(CancelledStream);
            else context.Abort(); // HTTP/1.1
        }
    }
}
