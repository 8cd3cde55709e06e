using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Flamingo.Cli.Running;

/// <summary>Services for a command that computes in this process: one model directory, warnings on standard error, no configuration files; options by environment (<c>Model__Dtype=bfloat16</c>).</summary>
public static class EmbeddedServices
{
    /// <param name="add">Registers the stages that the command needs.</param>
    public static ServiceProvider Build(string modelDirectory, Action<IServiceCollection> add)
    {
        var services = new ServiceCollection();
        services.AddSingleton<IConfiguration>(new ConfigurationBuilder().AddEnvironmentVariables().AddInMemoryCollection([new("Model:Directory", modelDirectory)]).Build());
        services.AddLogging(logging => logging.SetMinimumLevel(LogLevel.Warning).AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace));
        add(services);
        return services.BuildServiceProvider();
    }
}
