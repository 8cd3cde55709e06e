using CsCheck;
using Flamingo.LanguageModel.Engine.Generation;

namespace Flamingo.LanguageModel.Engine.Tests.Generation;

public sealed class StopStringFilterTests
{
    // However a text is split into pieces, the filter passes exactly the text before the first stop string that one of the later pieces
    // completes, and passes it as early as possible.
    [Fact]
    public void Passes_what_stands_before_the_first_stop() =>
        Gen.Select(
            Gen.Char["ab"].Array[0, 4].Select(letters => new string(letters)).Array[0, 10],
            Gen.Char["ab"].Array[1, 4].Select(letters => new string(letters)).Array[0, 3],
            Gen.Int[0, 4])
            .Sample((pieces, stops, unstoppable) =>
    {
        var filter = new StopStringFilter(stops);
        var (text, passed) = (string.Concat(pieces), "");
        var free = string.Concat(pieces.Take(unstoppable)).Length; // a stop string within so many characters does not count
        bool Stops(string all) => stops.Any(stop => all.IndexOf(stop, Math.Max(0, free - stop.Length + 1), StringComparison.Ordinal) >= 0);
        foreach (var (index, piece) in pieces.Index())
        {
            passed += filter.Push(piece, mayStop: index >= unstoppable);
            Assert.False(passed.Length > free && Stops(passed));
        }

        passed += filter.Flush();
        // The filter finds a stop string when the piece that completes it arrives. If a piece completes several, the first in the
        // text counts.
        Assert.StartsWith(passed, text);
        Assert.Equal(text.Length > free && Stops(text), filter.Stopped);
        if (!filter.Stopped) Assert.Equal(text, passed);
        else Assert.Contains(stops, stop =>
            text[passed.Length..].StartsWith(stop, StringComparison.Ordinal) && passed.Length + stop.Length > free);
        Assert.Equal("", filter.Flush());
    }, iter: 20_000);

    [Fact]
    public void A_stop_string_counts_where_it_ends_and_not_where_it_begins()
    {
        var filter = new StopStringFilter(["END", "ND."]);
        Assert.Equal("aE", filter.Push("aEND", mayStop: false)); // "ND" may become the second
        Assert.False(filter.Stopped);
        Assert.Equal("", filter.Push("."));
        Assert.True(filter.Stopped);

        filter = new StopStringFilter(["END", "ND."]);
        Assert.Equal(["aE", "ND!"], new[] { filter.Push("aEND", mayStop: false), filter.Push("!") });
        Assert.False(filter.Stopped);

        filter = new StopStringFilter(["END"]);
        Assert.Equal("a", filter.Push("aEN", mayStop: false));
        Assert.Equal("", filter.Push("D"));
        Assert.True(filter.Stopped);
    }

    [Fact]
    public void Holds_back_no_more_than_may_become_a_stop()
    {
        var filter = new StopStringFilter(["END", "nowhere"]);
        Assert.Equal(["red", "", "", "ENX", ""], new[] { "red", "E", "N", "X", "END" }.Select(text => filter.Push(text)));
        Assert.True(filter.Stopped);
        Assert.Equal("", filter.Push("more"));
    }
}
