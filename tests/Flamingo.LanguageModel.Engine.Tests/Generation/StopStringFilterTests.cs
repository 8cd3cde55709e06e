using CsCheck;
using Flamingo.LanguageModel.Engine.Generation;

namespace Flamingo.LanguageModel.Engine.Tests.Generation;

public sealed class StopStringFilterTests
{
    // However a text is split into pieces, the filter passes exactly the text before the first stop string, and passes it as
    // early as possible.
    [Fact]
    public void Passes_what_stands_before_the_first_stop() =>
        Gen.Select(
            Gen.Char["ab"].Array[0, 4].Select(letters => new string(letters)).Array[0, 10],
            Gen.Char["ab"].Array[1, 4].Select(letters => new string(letters)).Array[0, 3])
            .Sample((pieces, stops) =>
    {
        var filter = new StopStringFilter(stops);
        var passed = "";
        foreach (var piece in pieces)
        {
            passed += filter.Push(piece);
            Assert.DoesNotContain(stops, passed.Contains);
        }

        passed += filter.Flush();
        var text = string.Concat(pieces);
        // The filter finds a stop string when the piece that completes it arrives. If a piece completes several, the first in the
        // text counts.
        Assert.StartsWith(passed, text);
        Assert.Equal(stops.Any(text.Contains), filter.Stopped);
        if (!filter.Stopped) Assert.Equal(text, passed);
        else Assert.Contains(stops, stop => text[passed.Length..].StartsWith(stop, StringComparison.Ordinal));
        Assert.Equal("", filter.Flush());
    }, iter: 20_000);

    [Fact]
    public void Holds_back_no_more_than_may_become_a_stop()
    {
        var filter = new StopStringFilter(["END", "nowhere"]);
        Assert.Equal(["red", "", "", "ENX", ""], new[] { "red", "E", "N", "X", "END" }.Select(filter.Push));
        Assert.True(filter.Stopped);
        Assert.Equal("", filter.Push("more"));
    }
}
