using System.Runtime.InteropServices;
using Flamingo.Abstractions;
using Flamingo.Modeling.Runtime;
using Flamingo.Stages;
using Flamingo.Testing;
using Flamingo.VisionEncoder.Execution;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Flamingo.SystemTests.Embedded;

public sealed class DeviceLostTests
{
    /// <summary>docs/performance.md promises exit code 70, so that a supervisor restarts the process.</summary>
    [Fact(Timeout = 60_000)]
    public async Task A_host_whose_device_failed_stops_with_exit_code_70()
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Configuration.AddInMemoryCollection([new("Model:Directory", RepositoryFiles.Path("models", "shapes"))]);
        builder.Logging.ClearProviders();
        builder.Services.AddVisionEncoderStage();
        using var host = builder.Build();
        var cancellation = TestContext.Current.CancellationToken;
        var before = Environment.ExitCode;
        try
        {
            await host.StartAsync(cancellation);
            var thread = host.Services.GetRequiredService<InferenceThread>();
            var stopping = host.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping;
            var noMemory = await Assert.ThrowsAsync<FlamingoException>(
                () => thread.RunAsync<int>(() => throw new ExternalException("CUDA out of memory."), cancellation));
            Assert.Equal((FlamingoErrorKind.Overloaded, false, before),
                (noMemory.Kind, stopping.IsCancellationRequested, Environment.ExitCode));

            var lost = await Assert.ThrowsAsync<FlamingoException>(
                () => thread.RunAsync<int>(() => throw new ExternalException("CUDA error: unspecified launch failure"), cancellation));
            Assert.Equal((FlamingoErrorKind.Unavailable, true, 70), (lost.Kind, stopping.IsCancellationRequested, Environment.ExitCode));
            await host.WaitForShutdownAsync(cancellation);
        }
        finally
        {
            Environment.ExitCode = before;
        }
    }
}
