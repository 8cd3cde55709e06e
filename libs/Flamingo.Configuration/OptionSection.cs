using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;

namespace Flamingo.Configuration;

/// <summary>A section of the configuration that this process reads.</summary>
/// <param name="Name">Name of the section, such as Model.</param>
public sealed record KnownSection(string Name);

/// <summary>Registers options classes. Every options class of a process is registered here.</summary>
public static class OptionSectionRegistration
{
    /// <summary>
    /// Reads a section into <typeparamref name="T"/> and checks it at start. Sizes and durations have the formats of
    /// <see cref="Quantity"/>, every value must satisfy the validation attributes of its property, and every key of the section must be a
    /// property. Registering a class several times has the effect of one registration.
    /// </summary>
    /// <typeparam name="T">
    /// The options class. Its properties are string, int, long, double, bool or TimeSpan. A whole number whose name ends in <c>Bytes</c> is
    /// a size. If an attribute has an error message, it names the accepted values and completes the sentence "Give ….".
    /// </typeparam>
    /// <param name="services">Services of the process.</param>
    /// <param name="section">Name of the section.</param>
    public static OptionsBuilder<T> AddOptionSection<T>(this IServiceCollection services, string section)
        where T : class, new()
    {
        OptionSection<T> Create(IServiceProvider provider) => new(provider.GetRequiredService<IConfiguration>(), section);
        services.AddSingleton(new KnownSection(section));
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IConfigureOptions<T>, OptionSection<T>>(Create));
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<T>, OptionSection<T>>(Create));
        return services.AddOptions<T>().ValidateOnStart();
    }
}

/// <summary>
/// Reads one section. The binder of .NET has one converter per type and reports errors with expressions and type names. This reader
/// distinguishes sizes from other numbers, and its errors name the key, the value and the accepted values.
/// </summary>
public sealed class OptionSection<T>(IConfiguration configuration, string section) : IConfigureOptions<T>, IValidateOptions<T>
    where T : class, new()
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;
    private static readonly PropertyInfo[] Properties = [.. typeof(T).GetProperties().Where(property => property.CanWrite)];

    /// <summary>
    /// Reads the options without checking them. Values that cannot be read keep their defaults. This method serves code that needs options
    /// before the process validates them.
    /// </summary>
    public T Read()
    {
        var options = new T();
        Configure(options);
        return options;
    }

    public void Configure(T options) => Read(options, []);

    public ValidateOptionsResult Validate(string? name, T options)
    {
        var faults = new List<string>();
        var misread = Read(new T(), faults);
        foreach (var property in Properties.Except(misread).Where(property => !IsValid(property, property.GetValue(options))))
        {
            var value = configuration[Key(property.Name)] ?? Convert.ToString(property.GetValue(options), Invariant);
            faults.Add(Fault(property, value));
        }

        return faults.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(faults);
    }

    /// <returns>The properties whose values could not be read.</returns>
    private HashSet<PropertyInfo> Read(T options, List<string> faults)
    {
        var misread = new HashSet<PropertyInfo>();
        foreach (var entry in configuration.GetSection(section).GetChildren())
        {
            var property = Array.Find(Properties, property => string.Equals(property.Name, entry.Key, StringComparison.OrdinalIgnoreCase));
            if (property is null) faults.Add(UnknownFault(entry.Key));
            else if (entry.GetChildren().FirstOrDefault() is { } nested)
                faults.Add($"{nested.Path} is no option: {entry.Path} takes one value.");
            else if (entry.Value is null) continue; // A null in a file means the default.
            else if (TryParse(property, entry.Value, out var value)) property.SetValue(options, value);
            else if (misread.Add(property)) faults.Add(Fault(property, entry.Value));
        }

        return misread;
    }

    private static bool TryParse(PropertyInfo property, string text, out object? value)
    {
        var type = property.PropertyType;
        (var read, value) = type switch
        {
            _ when type == typeof(string) => (true, (object)text),
            _ when type == typeof(TimeSpan) => (Quantity.TryParseDuration(text, out var duration), duration),
            _ when type == typeof(bool) => (bool.TryParse(text, out var flag), flag),
            _ when type == typeof(double) => (double.TryParse(text, NumberStyles.Float, Invariant, out var number), number),
            _ when type != typeof(int) && type != typeof(long) =>
                throw new NotSupportedException($"{typeof(T).Name}.{property.Name} is a {type.Name}."),
            _ when IsSize(property) => (Quantity.TryParseSize(text, out var bytes), bytes),
            _ => (long.TryParse(text, NumberStyles.Integer, Invariant, out var whole), whole),
        };
        if (value is not long wide || type != typeof(int)) return read;
        value = (int)Math.Clamp(wide, int.MinValue, int.MaxValue);
        return read && wide is >= int.MinValue and <= int.MaxValue;
    }

    // Durations are compared here, because RangeAttribute would parse its bounds in the culture of the machine.
    private static bool IsValid(PropertyInfo property, object? value) =>
        property.GetCustomAttributes<ValidationAttribute>().All(attribute => (attribute, value) switch
        {
            (RangeAttribute range, TimeSpan duration) => duration >= Bound(range.Minimum) && duration <= Bound(range.Maximum),
            _ => attribute.IsValid(value),
        });

    private string Fault(PropertyInfo property, string? value) =>
        $"{Key(property.Name)} is {(string.IsNullOrEmpty(value) ? "empty" : $"'{value}'")}. Give {Expected(property)}.";

    private static string Expected(PropertyInfo property)
    {
        var attributes = property.GetCustomAttributes<ValidationAttribute>().ToList();
        // Some attributes of .NET have a default message with a placeholder, which is not part of the sentence.
        var explained = attributes.Find(attribute => attribute.ErrorMessage?.Contains("{0}", StringComparison.Ordinal) == false);
        if (explained is not null) return explained.ErrorMessage!;
        if (attributes.OfType<AllowedValuesAttribute>().FirstOrDefault() is { } allowed) return string.Join(" or ", allowed.Values);
        var range = attributes.OfType<RangeAttribute>().FirstOrDefault();
        var type = property.PropertyType;
        if (type == typeof(TimeSpan))
            return $"a duration{Between(range, bound => Quantity.Duration(Bound(bound)))}, such as 100ms, 5s or 00:00:05";
        if (type == typeof(bool)) return "true or false";
        if (type == typeof(string)) return "a text that is not empty";
        return IsSize(property)
            ? $"a size{Between(range, bound => Quantity.Size(Convert.ToInt64(bound, Invariant)))}, such as 512MB, 2GiB or a number of bytes"
            : $"a {(type == typeof(double) ? "number" : "whole number")}{Between(range, bound => Convert.ToString(bound, Invariant)!)}";
    }

    // A maximum of long.MaxValue means that there is no maximum. As a double it is rounded up, which >= takes into account.
    private static string Between(RangeAttribute? range, Func<object, string> write) => range switch
    {
        null => "",
        { Maximum: double and >= (double)long.MaxValue } => $" of at least {write(range.Minimum)}",
        _ => $" from {write(range.Minimum)} to {write(range.Maximum)}",
    };

    private string UnknownFault(string key)
    {
        var nearest = Properties.MinBy(property => Distance(property.Name, key))!.Name;
        return Distance(nearest, key) <= Math.Max(2, key.Length / 3)
            ? $"{Key(key)} is no option. Did you mean {Key(nearest)}?"
            : $"{Key(key)} is no option. Known are {string.Join(", ", Properties.Select(property => property.Name))}.";
    }

    private string Key(string name) => $"{section}:{name}";

    private static bool IsSize(PropertyInfo property) => property.Name.EndsWith("Bytes", StringComparison.Ordinal);

    private static TimeSpan Bound(object bound) => bound as TimeSpan? ?? TimeSpan.Parse((string)bound, Invariant);

    /// <summary>Computes the Levenshtein distance of two words, ignoring case.</summary>
    private static int Distance(string one, string other)
    {
        var row = Enumerable.Range(0, other.Length + 1).ToArray();
        for (var i = 1; i <= one.Length; i++)
        {
            var diagonal = row[0]++;
            for (var j = 1; j <= other.Length; j++)
            {
                var same = char.ToUpperInvariant(one[i - 1]) == char.ToUpperInvariant(other[j - 1]);
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (same ? 0 : 1)));
            }
        }

        return row[^1];
    }
}
