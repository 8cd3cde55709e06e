using System.Reflection;
using System.Text.RegularExpressions;
using Flamingo.Configuration;
using Flamingo.Gateway;
using Flamingo.Gateway.Doors;
using Flamingo.Gateway.Security;
using Flamingo.LanguageModel.Execution;
using Flamingo.Modeling.Runtime;
using Flamingo.Resampler.Execution;
using Flamingo.ServiceDefaults;
using Flamingo.Testing;
using Flamingo.Transport.Remote;
using Flamingo.VisionEncoder.Execution;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Flamingo.Cli.Tests.Serving;

/// <summary>docs/options.md names every option with its type and default, and no other.</summary>
public sealed partial class OptionsPageTests
{
    private static readonly Dictionary<string, Type[]> TypesOfWords = new()
    {
        ["number"] = [typeof(int), typeof(long)],
        ["size"] = [typeof(int), typeof(long)],
        ["duration"] = [typeof(TimeSpan)],
        ["text"] = [typeof(string)], ["path"] = [typeof(string)], ["word"] = [typeof(string)],
        ["device"] = [typeof(string)], ["address"] = [typeof(string)], ["true or false"] = [typeof(bool)],
    };

    private static readonly Type[] OptionTypes =
    [
        .. new[]
        {
            typeof(ModelOptions), typeof(VisionEncoderOptions), typeof(ResamplerOptions), typeof(LanguageModelOptions),
            typeof(GatewayOptions), typeof(RemoteStageOptions), typeof(EndpointOptions), typeof(SecurityOptions),
            typeof(DoorOptions), typeof(TelemetryOptions),
        }.SelectMany(type => type.Assembly.GetTypes()).Distinct().Where(type => Section(type) is not null), // and those beside them
    ];

    private static IReadOnlyList<(string Name, string Type, string Default)> Rows { get; } =
    [
        .. File.ReadLines(RepositoryFiles.Path("docs", "options.md")).Select(line => Row().Match(line)).Where(match => match.Success)
            .Select(match => (match.Groups[1].Value, match.Groups[2].Value, match.Groups[3].Value)),
    ];

    [Fact]
    public void The_page_names_every_option_and_no_other() =>
        Assert.Equal(Properties().Keys.Order(), Rows.Select(row => row.Name).Order());

    [Fact]
    public void Types_are_those_of_the_options()
    {
        foreach (var (name, type, _) in Rows)
        {
            var property = Properties()[name];
            Assert.True(TypesOfWords.ContainsKey(type), $"{name}: '{type}' is none of {string.Join(", ", TypesOfWords.Keys)}.");
            Assert.True(TypesOfWords[type].Contains(property.PropertyType), $"{name}: {property.PropertyType.Name} is no {type}.");
            Assert.Equal(name.EndsWith("Bytes", StringComparison.Ordinal), type == "size");
            Assert.Equal(name.EndsWith(":Device", StringComparison.Ordinal), type == "device");
        }
    }

    /// <summary>What the page prints as default, read as configuration, is what the options have without it.</summary>
    [Fact]
    public void Defaults_are_those_of_the_options()
    {
        foreach (var type in OptionTypes)
        {
            var section = Section(type)!;
            var printed = Rows
                .Where(row => row.Name.StartsWith(section + ":", StringComparison.Ordinal) && row.Default != "processors")
                .ToDictionary(row => row.Name, row => (string?)(row.Default == "empty" ? "" : row.Default));
            var read = typeof(OptionsPageTests).GetMethod(nameof(Read), BindingFlags.NonPublic | BindingFlags.Static)!
                .MakeGenericMethod(type).Invoke(null, [section, printed])!;
            var expected = Activator.CreateInstance(type)!;
            foreach (var property in type.GetProperties().Where(property => property.CanWrite))
                Assert.True(
                    Equals(property.GetValue(expected), property.GetValue(read)),
                    $"{section}:{property.Name} is {property.GetValue(expected)} and not {property.GetValue(read)}.");
        }

        Assert.Equal(["VisionEncoder:MaxDecodes"], Rows.Where(row => row.Default == "processors").Select(row => row.Name));
    }

    private static object Read<T>(string section, Dictionary<string, string?> values)
        where T : class, new()
    {
        var services = new ServiceCollection();
        services.AddSingleton<IConfiguration>(new ConfigurationBuilder().AddInMemoryCollection(values).Build());
        services.AddOptionSection<T>(section);
        using var provider = services.BuildServiceProvider();
        try
        {
            return provider.GetRequiredService<IOptions<T>>().Value;
        }
        catch (OptionsValidationException exception)
            when (exception.Failures.All(failure => failure.Contains("Stages:", StringComparison.Ordinal)))
        {
            return new T(); // addresses have no default, and are required where they are read
        }
    }

    private static Dictionary<string, PropertyInfo> Properties() => OptionTypes
        .SelectMany(type => type.GetProperties().Where(property => property.CanWrite).Select(property => (type, property)))
        .ToDictionary(option => $"{Section(option.type)}:{option.property.Name}", option => option.property);

    private static string? Section(Type type) =>
        type.GetField("Section", BindingFlags.Public | BindingFlags.Static) is { IsLiteral: true } field
            ? (string?)field.GetRawConstantValue()
            : null;

    [GeneratedRegex(@"^\| `([A-Z]\w+:\w+)` \| ([^|]+) \| ([^|]+) \|")]
    private static partial Regex Row();
}
