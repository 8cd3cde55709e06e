using Microsoft.AspNetCore.Http;

namespace Flamingo.ServiceDefaults.Management;

/// <summary>
/// Middleware that writes vLLM's metrics under their own names on the Prometheus page. These names hold a colon, which OpenTelemetry does
/// not allow in the name of an instrument, so the instruments are called <c>vllm.…</c>, which the exporter writes as <c>vllm_…</c>.
/// </summary>
internal static class VllmPage
{
    private const byte LineEnd = (byte)'\n';

    /// <summary>How a line begins in which a metric is named.</summary>
    private static readonly byte[][] Beginnings =
        [[.. "vllm_"u8], [.. "# TYPE vllm_"u8], [.. "# HELP vllm_"u8], [.. "# UNIT vllm_"u8]];

    public static async Task RenameAsync(HttpContext context, RequestDelegate next)
    {
        var (body, page) = (context.Response.Body, new MemoryStream());
        context.Response.Body = page;
        try
        {
            await next(context);
        }
        finally
        {
            context.Response.Body = body;
        }

        var text = page.GetBuffer().AsMemory(0, (int)page.Length);
        Rename(text.Span);
        if (text.Length > 0) await body.WriteAsync(text, context.RequestAborted);
    }

    /// <summary>Replaces <c>vllm_</c> by <c>vllm:</c> where a line names a metric.</summary>
    internal static void Rename(Span<byte> page)
    {
        while (!page.IsEmpty)
        {
            foreach (var beginning in Beginnings)
                if (page.StartsWith(beginning)) page[beginning.Length - 1] = (byte)':';
            var end = page.IndexOf(LineEnd);
            page = end < 0 ? [] : page[(end + 1)..];
        }
    }
}
