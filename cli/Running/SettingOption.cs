using System.CommandLine;
using System.Text.RegularExpressions;
using Flamingo.Cli.Reporting;
using Flamingo.Configuration;
using Flamingo.ServiceDefaults;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Cli.Running;

/// <summary>
/// <c>--Section:Key=VALUE</c> sets an option of docs/options.md, for every command that loads a model.
/// <see cref="OptionSources"/> lists the other sources of options and their precedence.
/// </summary>
public static partial class SettingOption
{
    public const string Name = "--Section:Key";

    /// <summary>Configuration sections that .NET itself reads.</summary>
    private static readonly string[] SectionsOfNet = ["Logging", "Kestrel"];

    public static Option<string[]> Create()
    {
        var option = new Option<string[]>(Name)
        {
            HelpName = "VALUE", Arity = ArgumentArity.OneOrMore,
            Description = "Set any option of docs/options.md, for example --LanguageModel:KvCacheBytes=4GiB. Repeatable. "
            + "An argument overrides an environment variable (LanguageModel__KvCacheBytes=4GiB), "
            + "and a variable overrides appsettings.json in the current directory.",
        };
        option.Validators.Add(result =>
        {
            foreach (var token in result.Tokens.Where(token => !token.Value.Contains('=')))
                result.AddError($"--{token.Value} has no value. Write --{token.Value}=VALUE.");
        });
        return option;
    }

    /// <summary>
    /// Rewrites every <c>--Section:Key=VALUE</c> or <c>--Section:Key VALUE</c> into a value of the option of <see cref="Create"/>, because
    /// System.CommandLine cannot declare options with arbitrary names.
    /// </summary>
    public static string[] Fold(IReadOnlyList<string> args)
    {
        var folded = new List<string>();
        for (var at = 0; at < args.Count; at++)
        {
            if (args[at] == "--") return [.. folded, .. args.Skip(at)];
            if (!Form().IsMatch(args[at]))
            {
                folded.Add(args[at]);
                continue;
            }

            var (setting, next) = (args[at][2..], at + 1 < args.Count ? args[at + 1] : "--");
            var takesNext = !setting.Contains('=') && !next.StartsWith("--", StringComparison.Ordinal);
            folded.AddRange([Name, takesNext ? $"{setting}={next}" : setting]);
            if (takesNext) at++;
        }

        return [.. folded];
    }

    /// <returns>The settings, each in the form <c>Section:Key=VALUE</c>.</returns>
    public static IReadOnlyList<string> Of(ParseResult parsed) => parsed.GetValue<string[]>(Name) ?? [];

    /// <summary>Adds all sources of a command's options to the configuration, and the default model if no source names one.</summary>
    /// <param name="settings">See <see cref="Of"/>.</param>
    /// <param name="named">Configuration values from the command's own options; null values are ignored.</param>
    /// <exception cref="UsageException">No model is named, and the default model was not found.</exception>
    public static void AddCommandSources(
        this ConfigurationManager configuration, IReadOnlyList<string> settings, params IEnumerable<(string Key, string? Value)> named)
    {
        configuration.AddOptionSources(settings.Select(setting => $"--{setting}"));
        var given = named.Where(option => option.Value is not null);
        configuration.AddInMemoryCollection(given.Select(option => KeyValuePair.Create(option.Key, option.Value)));
        if (configuration["Model:Directory"] is null) configuration["Model:Directory"] = DefaultModel.Find();
    }

    /// <summary>Checks that this command reads the section of every setting.</summary>
    /// <exception cref="UsageException">A setting's section is unknown to this command, so it would have no effect.</exception>
    public static void CheckSections(IServiceProvider services, IReadOnlyList<string> settings)
    {
        var known = services.GetServices<KnownSection>().Select(section => section.Name).Distinct().ToList();
        var sections = settings.Select(setting => setting.Split(':')[0]);
        var foreign = sections.Except(known.Concat(SectionsOfNet), StringComparer.OrdinalIgnoreCase).ToList();
        if (foreign.Count == 0) return;
        var remedy = $"has no effect here. This command reads {string.Join(", ", known.Order())}.";
        throw new UsageException([.. foreign.Select(section => $"--{section}:… {remedy}")]);
    }

    [GeneratedRegex(@"^--[A-Za-z]\w*(:[\w.]+)+(=|$)", RegexOptions.Singleline)]
    private static partial Regex Form();
}
