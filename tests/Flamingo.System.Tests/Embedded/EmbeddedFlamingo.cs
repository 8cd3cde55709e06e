using Flamingo.Abstractions;
using Flamingo.Gateway;
using Flamingo.LanguageModel.Execution;
using Flamingo.Resampler.Execution;
using Flamingo.Stages;
using Flamingo.Testing;
using Flamingo.VisionEncoder.Execution;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Flamingo.SystemTests.Embedded;

/// <summary>All stages and the gateway's pipeline in the process of the test, composed as in the command line.</summary>
public sealed class EmbeddedFlamingo : IAsyncDisposable
{
    private readonly IHost _host;

    private EmbeddedFlamingo(IHost host) => _host = host;

    public IFlamingo Flamingo => _host.Services.GetRequiredService<IFlamingo>();

    public ITasks Tasks => _host.Services.GetRequiredService<ITasks>();

    public ISupportSets SupportSets => _host.Services.GetRequiredService<ISupportSets>();

    public IVisionEncoder VisionEncoder => _host.Services.GetRequiredService<IVisionEncoder>();

    public IResampler Resampler => _host.Services.GetRequiredService<IResampler>();

    public ILanguageModel LanguageModel => _host.Services.GetRequiredService<ILanguageModel>();

    public static async Task<EmbeddedFlamingo> StartAsync(string? model = null, params (string Key, string Value)[] settings)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Configuration.AddInMemoryCollection(settings.Select(setting => KeyValuePair.Create(setting.Key, (string?)setting.Value)));
        builder.Configuration.AddInMemoryCollection([new("Model:Directory", model ?? RepositoryFiles.Path("models", "shapes"))]);
        builder.Logging.ClearProviders();
        builder.Services.AddVisionEncoderStage().AddResamplerStage().AddLanguageModelStage().AddGatewayPipeline();
        var host = builder.Build();
        await host.StartAsync();
        return new EmbeddedFlamingo(host);
    }

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync();
        if (_host is IAsyncDisposable disposable) await disposable.DisposeAsync();
    }
}
