using System.Text.Json;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Options;

namespace Flamingo.ServiceDefaults;

/// <summary>The sources of options, which are the same for every command and every host.</summary>
public static class OptionSources
{
    /// <summary>
    /// Adds <c>appsettings.json</c> of the current directory, the environment (<c>Section__Key</c>) and the arguments
    /// (<c>--Section:Key=value</c>). A later source overrides an earlier one, and all three override the program's defaults.
    /// </summary>
    /// <exception cref="OptionsValidationException">The file is not valid JSON; thrown here or when the configuration is built.</exception>
    public static void AddOptionSources(this IConfigurationBuilder configuration, IEnumerable<string> arguments)
    {
        var folder = Path.TrimEndingDirectorySeparator(Environment.CurrentDirectory);
        if (folder != Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory)) // a host's own file is already part of its defaults
        {
            // The file is not watched for changes, because options are read once and watching a large folder is expensive.
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
                return Fault($"it is not valid JSON from line {line + 1} on. Correct it, or start in another directory");
        }

        return Fault(exception.GetBaseException().Message.TrimEnd('.'));

        OptionsValidationException Fault(string reason) => new("", typeof(IConfiguration), [$"{file} cannot be read: {reason}."]);
    }
}
