using Flamingo.Abstractions;
using Flamingo.Gateway.SupportSets;
using Flamingo.Gateway.Tenants;
using Flamingo.Gateway.Tests.Operations;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.Gateway.Tests.SupportSets;

/// <summary>Tests that the store in memory counts all that sets take, and that neither sets nor tenants grow beyond bounds.</summary>
[Collection(nameof(Alone))] // it measures the memory of this process
public sealed class StoreBoundsTests
{
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 11, 24, 0, 0, 0, TimeSpan.Zero));

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Texts_are_counted_as_they_are_held_and_a_set_that_never_fits_is_refused_without_a_time()
    {
        var store = new MemorySupportSetStore(new() { MaxMemoryBytes = 8 << 20 }, _time);
        var set = NewSets.Of("s", [.. Enumerable.Range(0, 1024).Select(number => $"{number}".PadRight(4096, 'x'))]);
        var refusal = await RefusedAsync(() => store.PutAsync(Tenant.Of("a", ""), set, null, Cancellation));
        Assert.Equal((FlamingoErrorKind.Overloaded, null), (refusal.Kind, refusal.RetryAfter));
        Assert.Contains("SupportSets:MaxMemoryBytes is 8388608", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1024, 4096, 1), InlineData(1, 1, 1), InlineData(64, 100, 1000)]
    public async Task What_is_counted_is_at_least_what_memory_grows_by(int examples, int characters, int fileBytes)
    {
        var tenant = Tenant.Of("a", "");
        var sets = (16 << 20) / (examples * ((2 * characters) + 1000));
        var store = new MemorySupportSetStore(new() { MaxTenantBytes = 1L << 30, MaxMemoryBytes = 1L << 30, MaxSets = 100_000 }, _time);
        var (counted, before) = (0L, GC.GetTotalMemory(forceFullCollection: true));
        for (var set = 0; set < sets; set++)
        {
            // strings and files of its own for each set, as they come from the wire
            var shots = Enumerable.Range(0, examples).Select(shot =>
                new StoredShot(PictureId.Of([(byte)shot, (byte)(shot >> 8)]), new string('x', characters), new byte[4])).ToList();
            var put = new NewSet($"{set}", _time.GetUtcNow(), null, "vision", shots, shots.ToDictionary(
                shot => shot.PictureId, _ => VisualInput.Still(new byte[fileBytes])));
            counted += put.MemoryBytes;
            await store.PutAsync(tenant, put, null, Cancellation);
        }

        var grown = GC.GetTotalMemory(forceFullCollection: true) - before;
        TestContext.Current.TestOutputHelper?.WriteLine($"{sets} sets: {counted} bytes counted, {grown} grown");
        Assert.InRange(grown, 1, counted);
        Assert.InRange(counted, 1, 3 * grown); // not counted absurdly high either
        GC.KeepAlive(store);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_tenant_has_a_share_and_others_are_served_after_it_is_used_up()
    {
        var store = new MemorySupportSetStore(new() { MaxMemoryBytes = 100_000, MaxTenantBytes = 40_000 }, _time);
        var (greedy, other) = (Tenant.Of("greedy", ""), Tenant.Of("other", ""));
        await store.PutAsync(greedy, NewSets.Sized("a", 30_000), null, Cancellation);
        var refusal = await RefusedAsync(() => store.PutAsync(greedy, NewSets.Sized("b", 30_000), null, Cancellation));
        Assert.Contains("SupportSets:MaxTenantBytes is 40000", refusal.Message, StringComparison.Ordinal);
        Assert.Null(refusal.RetryAfter); // waiting does not help
        await store.PutAsync(greedy, NewSets.Sized("a", 35_000), null, Cancellation); // a replacement counts instead of the old set
        await store.PutAsync(other, NewSets.Sized("a", 35_000), null, Cancellation);
        var full = await RefusedAsync(() => store.PutAsync(Tenant.Of("third", ""), NewSets.Sized("a", 35_000), null, Cancellation));
        Assert.Contains("SupportSets:MaxMemoryBytes is 100000", full.Message, StringComparison.Ordinal);
        Assert.NotNull(full.RetryAfter);
        await store.DeleteAsync(greedy, "a", Cancellation);
        await store.PutAsync(Tenant.Of("third", ""), NewSets.Sized("a", 35_000), null, Cancellation);
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact(Timeout = 60_000)]
    public async Task A_hundred_thousand_invented_tenants_leave_no_growth()
    {
        const int bound = 1 << 20;
        var store = new MemorySupportSetStore(new() { MaxMemoryBytes = bound }, _time);
        var set = NewSets.Of("s", "one") with { Expires = _time.GetUtcNow().AddHours(1) };
        var (before, held, refused) = (GC.GetTotalMemory(forceFullCollection: true), 0, 0);
        for (var number = 0; number < 100_000; number++)
        {
            var tenant = Tenant.Of($"invented-{number}", "");
            await store.GetAsync(tenant, "s", Cancellation);
            await store.ListAsync(tenant, Cancellation);
            await store.DeleteAsync(tenant, "s", Cancellation);
            try
            {
                await store.PutAsync(tenant, set, null, Cancellation);
                held++;
            }
            catch (FlamingoException full) when (full.Kind == FlamingoErrorKind.Overloaded)
            {
                refused++;
            }
        }

        Assert.InRange(held, 100, 1000);
        Assert.Equal(100_000, held + refused);
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, 2 * bound);
        _time.Advance(TimeSpan.FromHours(1));
        await store.PutAsync(Tenant.Of("next", ""), NewSets.Sized("s", bound - 4096), null, Cancellation); // all that expired is given back
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }

    [Fact]
    public async Task A_file_that_is_part_of_a_larger_array_does_not_keep_the_rest()
    {
        var store = new MemorySupportSetStore(new(), _time);
        var message = new byte[1 << 20];
        var put = NewSets.Of("s", "x") with
        {
            Pictures = new Dictionary<string, VisualInput> { ["id of x"] = VisualInput.Still(message.AsMemory(10, 5)) },
        };
        var set = await store.PutAsync(Tenant.Of("", ""), put, null, Cancellation);
        var file = Assert.Single((await store.GetPicturesAsync(Tenant.Of("", ""), set, ["id of x"], Cancellation)).Values).Files[0];
        Assert.True(System.Runtime.InteropServices.MemoryMarshal.TryGetArray(file, out var array));
        Assert.Equal(5, array.Array!.Length);
    }

    [Fact]
    public async Task The_memory_plan_has_the_store()
    {
        await using var gateway = new Stage().Services(("SupportSets:MaxMemoryBytes", "123MiB"));
        var items = gateway.GetServices<MemoryClaim>().Single(claim => claim.Holder == "support sets").Items;
        Assert.Equal([123L << 20, SupportSetShots.MostEmbeddedBytes], items.Select(item => item.Bytes));
        Assert.Equal("lower SupportSets:MaxMemoryBytes", items[0].Remedy);
    }

    private static Task<FlamingoException> RefusedAsync(Func<Task> put) => Assert.ThrowsAsync<FlamingoException>(put);
}
