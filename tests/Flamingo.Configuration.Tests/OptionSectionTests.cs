using System.ComponentModel.DataAnnotations;
using System.Globalization;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Flamingo.Configuration.Tests;

public sealed class OptionSectionTests
{
    private const string AnySize = " such as 512MB, 2GiB or a number of bytes.", TheOthers = "Cooks, Heat, Open, Style, Door, Name.";

    [Fact]
    public void Every_kind_of_value_is_read()
    {
        var options = Bound(
            ("Kitchen:StoreBytes", "2GiB"), ("Kitchen:PotBytes", "1500"), ("Kitchen:Patience", "100ms"), ("Kitchen:Cooks", "3"),
            ("Kitchen:Heat", "0.5"), ("Kitchen:Open", "true"), ("kitchen:STYLE", "loud"), ("Kitchen:Name", null))();
        Assert.Equal((2L << 30, 1500, TimeSpan.FromMilliseconds(100)), (options.StoreBytes, options.PotBytes, options.Patience));
        Assert.Equal(3, options.Cooks);
        Assert.Equal((0.5, true, "loud", "the kitchen"), (options.Heat, options.Open, options.Style, options.Name));
    }

    [Theory]
    [InlineData("Patience", "5", "Kitchen:Patience is '5'. Give a duration from 1ms to 1min, such as 100ms, 5s or 00:00:05.")]
    [InlineData("Patience", "2min", "Kitchen:Patience is '2min'. Give a duration from 1ms to 1min, such as 100ms, 5s or 00:00:05.")]
    [InlineData("StoreBytes", "much", "Kitchen:StoreBytes is 'much'. Give a size from 64KiB to 1PiB," + AnySize)]
    [InlineData("StoreBytes", "1", "Kitchen:StoreBytes is '1'. Give a size from 64KiB to 1PiB," + AnySize)]
    [InlineData("PotBytes", "2GiB", "Kitchen:PotBytes is '2GiB'. Give a size from 64 to 1GiB," + AnySize)]
    [InlineData("CellarBytes", "-1", "Kitchen:CellarBytes is '-1'. Give a size of at least 0," + AnySize)]
    [InlineData("Cooks", "abc", "Kitchen:Cooks is 'abc'. Give a whole number from 1 to 8.")]
    [InlineData("Cooks", "99999999999", "Kitchen:Cooks is '99999999999'. Give a whole number from 1 to 8.")]
    [InlineData("Cooks", "", "Kitchen:Cooks is empty. Give a whole number from 1 to 8.")]
    [InlineData("Heat", "0,5", "Kitchen:Heat is '0,5'. Give a number.")]
    [InlineData("Open", "perhaps", "Kitchen:Open is 'perhaps'. Give true or false.")]
    [InlineData("Style", "shy", "Kitchen:Style is 'shy'. Give quiet or loud.")]
    [InlineData("Door", "window", "Kitchen:Door is 'window'. Give front or back:N.")]
    [InlineData("Name", "", "Kitchen:Name is empty. Give a text that is not empty.")]
    [InlineData("Patiense", "5s", "Kitchen:Patiense is no option. Did you mean Kitchen:Patience?")]
    [InlineData("Zebra", "5s", "Kitchen:Zebra is no option. Known are StoreBytes, PotBytes, CellarBytes, Patience, " + TheOthers)]
    [InlineData("Patience:Most", "5s", "Kitchen:Patience:Most is no option: Kitchen:Patience takes one value.")]
    public void A_fault_is_told_once_with_key_value_and_what_is_expected(string key, string value, string message) =>
        Assert.Equal([message], Faults(($"Kitchen:{key}", value)));

    [Fact]
    public void All_faults_come_at_once_and_other_sections_are_ignored() =>
        Assert.Equal(3, Faults(
            ("Kitchen:Cooks", "0"), ("Kitchen:Patience", "5"), ("Kitchen:Pateince", "5s"),
            ("Logging:LogLevel:Default", "x"), ("KITCHEN_PORT", "y"), ("Kitchen", "tcp://10.0.0.1")).Count);

    [Fact]
    public void Bounds_of_durations_are_read_alike_in_every_culture()
    {
        var before = CultureInfo.CurrentCulture;
        CultureInfo.CurrentCulture = new CultureInfo("") { NumberFormat = { NumberDecimalSeparator = "," } };
        try
        {
            Assert.Equal(TimeSpan.FromMilliseconds(1.5), Bound(("Kitchen:Patience", "1.5ms"))().Patience);
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Fact]
    public void Values_that_code_sets_are_checked_too()
    {
        using var provider = Services().PostConfigure<Kitchen>(kitchen => kitchen.Cooks = 9).BuildServiceProvider();
        var refused = Assert.Throws<OptionsValidationException>(() => provider.GetRequiredService<IOptions<Kitchen>>().Value);
        Assert.Equal(["Kitchen:Cooks is '9'. Give a whole number from 1 to 8."], refused.Failures);
    }

    private static List<string> Faults(params (string, string?)[] settings) =>
        [.. Assert.Throws<OptionsValidationException>(() => Bound(settings)()).Failures];

    private static Func<Kitchen> Bound(params (string, string?)[] settings) => () =>
    {
        using var provider = Services(settings).BuildServiceProvider();
        provider.GetRequiredService<IStartupValidator>().Validate();
        return provider.GetRequiredService<IOptions<Kitchen>>().Value;
    };

    private static IServiceCollection Services(params (string Key, string? Value)[] settings)
    {
        var services = new ServiceCollection();
        var values = settings.Select(setting => KeyValuePair.Create(setting.Key, setting.Value));
        services.AddSingleton<IConfiguration>(new ConfigurationBuilder().AddInMemoryCollection(values).Build());
        // The stages of one process register the sections that they share several times.
        for (var stage = 0; stage < 3; stage++) services.AddOptionSection<Kitchen>("Kitchen");
        return services;
    }

    private sealed class Kitchen
    {
        [Range(1 << 16, 1L << 50)]
        public long StoreBytes { get; set; } = 1 << 20;

        [Range(64, 1 << 30)]
        public int PotBytes { get; set; } = 64;

        [Range(0, long.MaxValue)]
        public long CellarBytes { get; set; }

        [Range(typeof(TimeSpan), "00:00:00.001", "00:01:00")]
        public TimeSpan Patience { get; set; } = TimeSpan.FromSeconds(1);

        [Range(1, 8)]
        public int Cooks { get; set; } = 1;

        public double Heat { get; set; }

        public bool Open { get; set; }

        [AllowedValues("quiet", "loud")]
        public string Style { get; set; } = "quiet";

        [Required, RegularExpression(@"front|back:\d", ErrorMessage = "front or back:N")]
        public string Door { get; set; } = "front";

        [Required]
        public string Name { get; set; } = "the kitchen";
    }
}
