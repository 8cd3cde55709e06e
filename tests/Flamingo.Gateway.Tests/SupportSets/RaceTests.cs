using Flamingo.Abstractions;
using Flamingo.Gateway.SupportSets;
using Flamingo.Gateway.Tenants;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.SupportSets;

/// <summary>
/// Tests prompts whose support set is replaced or deleted between the reading of the set and the reading of its pictures. Whoever uses
/// a set by name is never asked for a picture of the set.
/// </summary>
public sealed class RaceTests : IAsyncDisposable
{
    private readonly Stage _stage = new();
    private readonly ServiceProvider _services;
    private readonly ISupportSets _sets;
    private InterruptedStore _store = null!;

    public RaceTests()
    {
        // Nothing is cached, so that each use of a set reads its pictures.
        _stage.Replace = services => services.Replace(ServiceDescriptor.Singleton<ISupportSetStore>(_ =>
            _store = new InterruptedStore(new MemorySupportSetStore(new(), TimeProvider.System))));
        _services = _stage.Services(("Gateway:MemoryCacheBytes", "0"));
        _sets = _services.GetRequiredService<ISupportSets>();
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => _services.DisposeAsync();

    [Theory]
    [InlineData(ShotSelection.All, 0), InlineData(ShotSelection.Rices, 1)]
    public async Task A_set_that_is_replaced_once_while_it_is_read_is_read_again(ShotSelection selection, int count)
    {
        await PutAsync(1, 2);
        _store.BeforePictures.Enqueue(() => PutAsync(3, 4));
        var resolved = await AskAsync(new SupportSetChoice("animals", selection, count), Picture(9));
        Assert.Equal(2, resolved.Shots!.Version);
        Assert.All(resolved.Pictures.SkipLast(1), picture => Assert.Contains(picture.Id, new[] { PictureId.Of([3]), PictureId.Of([4]) }));
        Assert.Empty(_store.BeforePictures);
    }

    [Theory]
    [InlineData(ShotSelection.All, 0), InlineData(ShotSelection.Rices, 1)]
    public async Task A_set_that_is_replaced_twice_is_aborted_with_the_words_that_it_changed(ShotSelection selection, int count)
    {
        await PutAsync(1, 2);
        _store.BeforePictures.Enqueue(() => PutAsync(3, 4));
        _store.BeforePictures.Enqueue(() => PutAsync(5, 6));
        var refusal = await RefusedAsync(new SupportSetChoice("animals", selection, count), Picture(9));
        Assert.Equal(FlamingoErrorKind.Aborted, refusal.Kind);
        Assert.Empty(refusal.Missing);
        Assert.Contains("changed while it was read. Try again.", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(3, (await AskAsync(new SupportSetChoice("animals", selection, count), Picture(9))).Shots!.Version);
    }

    [Fact]
    public async Task A_set_that_is_deleted_while_it_is_read_is_not_found_and_no_picture_is_asked_for()
    {
        await PutAsync(1, 2);
        _store.BeforePictures.Enqueue(() => _sets.DeleteAsync("", "animals", Cancellation));
        var refusal = await RefusedAsync(new SupportSetChoice("animals"), Picture(9));
        Assert.Equal((FlamingoErrorKind.NotFound, FlamingoException.SupportSet), (refusal.Kind, refusal.MissingResource));
        Assert.Equal(["animals"], refusal.Missing);
    }

    [Fact]
    public async Task A_pinned_version_that_is_replaced_while_it_is_read_is_named_as_gone()
    {
        await PutAsync(1, 2);
        _store.BeforePictures.Enqueue(() => PutAsync(3, 4));
        var refusal = await RefusedAsync(new SupportSetChoice("animals", Version: 1), Picture(9));
        Assert.Equal((FlamingoErrorKind.NotFound, FlamingoException.SupportSet), (refusal.Kind, refusal.MissingResource));
    }

    [Fact]
    public async Task A_set_that_has_lost_pictures_is_to_be_put_again()
    {
        await PutAsync(1, 2);
        _store.LosesPictures = true;
        var refusal = await RefusedAsync(new SupportSetChoice("animals"), Picture(9));
        Assert.Equal((FlamingoErrorKind.NotFound, FlamingoException.SupportSet), (refusal.Kind, refusal.MissingResource));
        Assert.Contains("Put it again", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Unknown_pictures_of_the_query_are_asked_for_without_those_of_the_set()
    {
        await PutAsync(1, 2);
        _store.BeforePictures.Enqueue(() => PutAsync(3, 4));
        _store.BeforePictures.Enqueue(() => PutAsync(5, 6));
        var refusal = await RefusedAsync(new SupportSetChoice("animals"), new FlamingoPictureId(PictureId.Of([7])));
        Assert.Equal((FlamingoErrorKind.NotFound, FlamingoException.Picture), (refusal.Kind, refusal.MissingResource));
        Assert.Equal([PictureId.Of([7])], refusal.Missing);
    }

    private Task PutAsync(params byte[] pictures) =>
        _sets.PutAsync(new PutSupportSet("animals", [.. pictures.Select(picture => new SupportExample(Picture(picture), $"a {picture}"))]),
            Cancellation);

    private async Task<PicturesResolved> AskAsync(SupportSetChoice choice, params FlamingoSegment[] segments) =>
        (PicturesResolved)(await _services.GetRequiredService<IFlamingo>().GenerateAsync(
            new FlamingoRequest(segments, new SamplingParameters()) { SupportSet = choice }, Cancellation).ToListAsync())[0];

    private Task<FlamingoException> RefusedAsync(SupportSetChoice choice, params FlamingoSegment[] segments) =>
        Assert.ThrowsAsync<FlamingoException>(() => AskAsync(choice, segments));

    /// <summary>Runs one scripted step before each reading of pictures.</summary>
    private sealed class InterruptedStore(MemorySupportSetStore store) : ISupportSetStore
    {
        public Queue<Func<Task>> BeforePictures { get; } = [];

        public bool LosesPictures { get; set; }

        public Task<StoredSet?> GetAsync(Tenant tenant, string name, CancellationToken cancellation) =>
            store.GetAsync(tenant, name, cancellation);

        public async Task<IReadOnlyDictionary<string, VisualInput>> GetPicturesAsync(
            Tenant tenant, StoredSet set, IReadOnlyCollection<string> ids, CancellationToken cancellation)
        {
            if (BeforePictures.TryDequeue(out var step)) await step();
            return LosesPictures ? new Dictionary<string, VisualInput>() : await store.GetPicturesAsync(tenant, set, ids, cancellation);
        }

        public Task<StoredSet> PutAsync(Tenant tenant, NewSet set, long? expectedVersion, CancellationToken cancellation) =>
            store.PutAsync(tenant, set, expectedVersion, cancellation);

        public Task<IReadOnlyList<StoredSet>> ListAsync(Tenant tenant, CancellationToken cancellation) =>
            store.ListAsync(tenant, cancellation);

        public Task<bool> DeleteAsync(Tenant tenant, string name, CancellationToken cancellation) =>
            store.DeleteAsync(tenant, name, cancellation);
    }
}
