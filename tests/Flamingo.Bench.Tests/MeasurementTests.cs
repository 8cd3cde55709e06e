using System.Text.Json;

namespace Flamingo.Bench.Tests;

public sealed class MeasurementTests
{
    [Fact]
    public void A_line_of_JSON_has_these_four_members_and_no_more()
    {
        var line = new Measurement("hit_over_encode", 0.012345678, "ratio", "one \"picture\"").ToJson();
        Assert.DoesNotContain('\n', line);
        using var json = JsonDocument.Parse(line);
        Assert.Equal(["figure", "value", "unit", "against"], json.RootElement.EnumerateObject().Select(member => member.Name));
        Assert.Equal("hit_over_encode", json.RootElement.GetProperty("figure").GetString());
        Assert.Equal(0.012346, json.RootElement.GetProperty("value").GetDouble());
        Assert.Equal("one \"picture\"", json.RootElement.GetProperty("against").GetString());
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void A_value_that_is_no_number_is_a_defect(
        double value) => Assert.Throws<InvalidOperationException>(() => new Measurement("a", value, "ratio", "b").ToJson());
}
