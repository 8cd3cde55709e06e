using CsCheck;

namespace Flamingo.Configuration.Tests;

public sealed class QuantityTests
{
    [Theory]
    [InlineData("2GiB", 2L << 30), InlineData("512MB", 512_000_000), InlineData("64 KiB", 64 << 10), InlineData("1.5MiB", 3 << 19)]
    [InlineData("0.5kb", 500), InlineData("2Gi", 2L << 30), InlineData("2gib", 2L << 30), InlineData("3TiB", 3L << 40)]
    [InlineData("1PB", 1_000_000_000_000_000), InlineData("7B", 7), InlineData("2147483648", 2L << 30)]
    [InlineData("0", 0), InlineData("-1", -1)]
    public void Sizes_are_read_as_people_write_them(string text, long bytes)
    {
        Assert.True(Quantity.TryParseSize(text, out var read));
        Assert.Equal(bytes, read);
    }

    [Theory]
    [InlineData("100ms", 100), InlineData("5s", 5000), InlineData("5 s", 5000), InlineData("1.5s", 1500), InlineData("2min", 120_000)]
    [InlineData("2m", 120_000), InlineData("1h30min", 5_400_000), InlineData("1h 30m", 5_400_000), InlineData("1d", 86_400_000)]
    [InlineData("5 seconds", 5000), InlineData("1 day", 86_400_000), InlineData("500us", 0.5), InlineData("500µs", 0.5), InlineData("0", 0)]
    [InlineData("00:00:05", 5000), InlineData("00:00:00.100", 100), InlineData("1.00:00:00", 86_400_000), InlineData("01:30", 5_400_000)]
    public void Durations_are_read_as_people_write_them(string text, double milliseconds)
    {
        Assert.True(Quantity.TryParseDuration(text, out var read));
        Assert.Equal(milliseconds, read.TotalMilliseconds);
    }

    [Theory]
    [InlineData(""), InlineData("much"), InlineData("2G"), InlineData("2g"), InlineData("1,5GiB"), InlineData("GiB")]
    [InlineData("2GiB 3MiB"), InlineData("1e3"), InlineData("-2GiB"), InlineData("9000PiB"), InlineData("99999999999999999999")]
    public void What_is_no_size_or_two_is_refused(string text) => Assert.False(Quantity.TryParseSize(text, out _));

    [Theory]
    [InlineData(""), InlineData("5"), InlineData("0.5"), InlineData("-5s"), InlineData("soon"), InlineData("5 fortnights")]
    [InlineData("1,5s"), InlineData("s"), InlineData("5:"), InlineData("99999999999d"), InlineData("10675199d 9h")]
    public void What_is_no_duration_is_refused_and_a_bare_number_is_none(string text) =>
        Assert.False(Quantity.TryParseDuration(text, out _));

    [Fact]
    public void What_is_written_reads_back()
    {
        Gen.Long[0, long.MaxValue].Sample(bytes => Quantity.TryParseSize(Quantity.Size(bytes), out var read) && read == bytes);
        Gen.Select(Gen.Long[0, 1 << 20], Gen.OneOf(Gen.Const(1L), Gen.Const(TimeSpan.TicksPerMillisecond), Gen.Const(TimeSpan.TicksPerDay)))
            .Select((count, unit) => TimeSpan.FromTicks(count * unit))
            .Sample(duration => Quantity.TryParseDuration(Quantity.Duration(duration), out var read) && read == duration);
        Assert.Equal(["0", "1000", "64KiB", "2GiB"], new[] { 0, 1000, 1 << 16, 2L << 30 }.Select(Quantity.Size));
        Assert.Equal(["0", "100ms", "1min", "30d"], new[] { 0, 0.1, 60, 2_592_000 }.Select(TimeSpan.FromSeconds).Select(Quantity.Duration));
    }
}
