using Flamingo.Abstractions;
using Flamingo.Modeling.Batching;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.Modeling.Tests.Batching;

public sealed class QueueBoundTests
{
    private readonly FakeTimeProvider _time = new();

    [Fact]
    public void A_refusal_names_the_option_and_the_time_in_which_so_many_items_are_computed()
    {
        var bound = new QueueBound(10, "Stage:Bound", _time);
        for (var call = 0; call < 100; call++)
        {
            using var entry = bound.Enter(10);
            _time.Advance(TimeSpan.FromSeconds(20)); // two seconds an item
        }

        using var held = bound.Enter(8);
        var refusal = Assert.Throws<FlamingoException>(() => bound.Enter(3));
        Assert.Equal((FlamingoErrorKind.Overloaded, 6), (refusal.Kind, Math.Round(refusal.RetryAfter!.Value.TotalSeconds)));
        Assert.Contains("8 frames are waiting already, and this call has 3", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("Stage:Bound", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(TimeSpan.FromMinutes(1), Assert.Throws<FlamingoException>(() => bound.Enter(1000)).RetryAfter);
        using var fits = bound.Enter(2);
        Assert.Equal(10, bound.Items);
    }

    [Fact]
    public void An_empty_stage_takes_a_call_of_any_size_and_an_entry_counts_once()
    {
        var bound = new QueueBound(4, "Stage:Bound", _time);
        var entry = bound.Enter(100);
        Assert.Throws<FlamingoException>(() => bound.Enter(1));
        entry.Dispose();
        entry.Dispose();
        Assert.Equal(0, bound.Items);
        using var again = bound.Enter(4);
    }
}
