using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Flamingo.Cli.Running;

/// <summary>Services for a command that computes in this process: one model directory, warnings on standard error.</summary>
public static class EmbeddedServices
{
    /// <param name="modelDirectory">Null: what the options say, else the default model.</param>
    /// <param name="settings">Options by argument, see <see cref="SettingOption.Of"/>.</param>
    /// <param name="add">Registers the stages that the command needs.</param>
    /// <exception cref="OptionsValidationException">Wrong options; of several sections as one <see cref="AggregateException"/>.</exception>
    /// <exception cref="Reporting.UsageException">An argument without effect, or no model.</exception>
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
