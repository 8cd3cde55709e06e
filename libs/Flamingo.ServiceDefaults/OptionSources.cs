using System.Text.Json;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Options;

namespace Flamingo.ServiceDefaults;

/// <summary>Where options come from, the same for every command and every host.</summary>
public static class OptionSources
{
    /// <summary>
    /// Adds, each over all before it: <c>appsettings.json</c> of the current directory, the environment (<c>Section__Key</c>), and
    /// arguments (<c>--Section:Key=value</c>). What the program takes by itself has been added before.
    /// </summary>
    /// <exception cref="OptionsValidationException">The file is not JSON; here or where the configuration is built.</exception>
    public static void AddOptionSources(this IConfigurationBuilder configuration, IEnumerable<string> arguments)
    {
        var folder = Path.TrimEndingDirectorySeparator(Environment.CurrentDirectory);
        if (folder != Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory)) // a host's own file is among its defaults already
        {
            // no watch for changes: options are read once, and the folder may be large
            configuration.AddJsonFile(source =>
            {
                var file = Path.Combine(folder, "appsettings.json");
                (source.Path, source.Optional, source.ReloadOnChange) = (file, true, false);
                source.OnLoadException = context => throw NotReadable(file, context.Exception);
                source.ResolveFileProvider();
            });
        }

        configuration.AddEnvironmentVariables().AddCommandLine([.. arguments]);
    }

    private static OptionsValidationException NotReadable(string file, Exception exception)
    {
        for (var inner = exception; inner is not null; inner = inner.InnerException)
        {
            if (inner is JsonException { LineNumber: { } line })
                return Fault($"it is no JSON from line {line + 1} on. Mend it, or start in another directory");
        }

        return Fault(exception.GetBaseException().Message.TrimEnd('.'));

        OptionsValidationException Fault(string reason) => new("", typeof(IConfiguration), [$"{file} cannot be read: {reason}."]);
    }
}
