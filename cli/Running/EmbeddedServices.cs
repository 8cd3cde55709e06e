using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Flamingo.Cli.Running;

/// <summary>
/// Builds the services of a command that runs a model in this process. They use one model directory and log warnings to standard error.
/// </summary>
public static class EmbeddedServices
{
    /// <param name="modelDirectory">Null for the directory in the options, or else the default model.</param>
    /// <param name="settings">Options from the command line, see <see cref="SettingOption.Of"/>.</param>
    /// <param name="add">Registers the stages that the command needs.</param>
    /// <exception cref="OptionsValidationException">
    /// Options are invalid. If several sections are invalid, their exceptions are thrown as one <see cref="AggregateException"/>.
    /// </exception>
    /// <exception cref="Reporting.UsageException">A setting has no effect on this command, or no model was found.</exception>
    public static ServiceProvider Build(string? modelDirectory, IReadOnlyList<string> settings, Action<IServiceCollection> add)
    {
        var configuration = new ConfigurationManager();
        configuration.AddCommandSources(settings, ("Model:Directory", modelDirectory));
        var services = new ServiceCollection();
        services.AddSingleton<IConfiguration>(configuration);
        services.AddLogging(logging => logging.SetMinimumLevel(LogLevel.Warning)
            .AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace));
        add(services);
        var provider = services.BuildServiceProvider();
        try
        {
            SettingOption.CheckSections(provider, settings);
            provider.GetRequiredService<IStartupValidator>().Validate();
            return provider;
        }
        catch
        {
            provider.Dispose();
            throw;
        }
    }
}
