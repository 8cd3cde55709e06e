using System.CommandLine;
using System.Text.RegularExpressions;
using Flamingo.Cli.Reporting;
using Flamingo.Configuration;
using Flamingo.ServiceDefaults;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Flamingo.Cli.Running;

/// <summary>
/// <c>--Section:Key=VALUE</c>, the options of docs/options.md on the command line of every command that loads a model. Where else
/// options come from, <see cref="OptionSources"/> says; a command's own options are arguments too.
/// </summary>
public static partial class SettingOption
{
    public const string Name = "--Section:Key";

    /// <summary>What .NET itself reads.</summary>
    private static readonly string[] SectionsOfNet = ["Logging", "Kestrel"];

    public static Option<string[]> Create()
    {
        var option = new Option<string[]>(Name)
        {
            HelpName = "VALUE", Arity = ArgumentArity.OneOrMore,
            Description = "Any option of docs/options.md, for example --LanguageModel:KvCacheBytes=4GiB; repeatable. "
                + "Arguments win over the environment (LanguageModel__KvCacheBytes=4GiB), "
                + "and that over appsettings.json in the current directory.",
        };
        option.Validators.Add(result =>
        {
            foreach (var token in result.Tokens.Where(token => !token.Value.Contains('=')))
                result.AddError($"--{token.Value} has no value. Write --{token.Value}=VALUE.");
        });
        return option;
    }

    /// <summary>Puts every <c>--Section:Key=VALUE</c> or <c>--Section:Key VALUE</c> behind the option of <see cref="Create"/>.</summary>
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

    /// <returns>Each as <c>Section:Key=VALUE</c>.</returns>
    public static IReadOnlyList<string> Of(ParseResult parsed) => parsed.GetValue<string[]>(Name) ?? [];

    /// <summary>Adds everything that a command's options come from, and the default model where nothing names one.</summary>
    /// <param name="settings">See <see cref="Of"/>.</param>
    /// <param name="named">What the command's own options say; null was not given.</param>
    /// <exception cref="UsageException">No model is named, and there is no default one.</exception>
    public static void AddCommandSources(
        this ConfigurationManager configuration, IReadOnlyList<string> settings, params IEnumerable<(string Key, string? Value)> named)
    {
        configuration.AddOptionSources(settings.Select(setting => $"--{setting}"));
        var given = named.Where(option => option.Value is not null);
        configuration.AddInMemoryCollection(given.Select(option => KeyValuePair.Create(option.Key, option.Value)));
        if (configuration["Model:Directory"] is null) configuration["Model:Directory"] = DefaultModel.Find();
    }

    /// <exception cref="UsageException">An argument's section is none that this command reads: it would have no effect.</exception>
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
