using Flamingo.Abstractions;
using Flamingo.Client.Connecting;
using Microsoft.Extensions.Logging;

namespace Flamingo.Client.Pictures;

/// <summary>
/// A request on its way out. Its pictures go by id where the service is believed to hold them, and as bytes otherwise and when it
/// turns out that it does not.
/// </summary>
/// <param name="replace">Makes the same request with each of its pictures replaced.</param>
/// <param name="held">Null: all pictures go as the caller gave them.</param>
internal sealed class OutgoingRequest<T>(
    T request, string tenant, Func<T, Func<FlamingoVisual, FlamingoVisual>, T> replace, HeldPictures? held, ILogger logger)
{
    // the first time what the service named, the second time everything: more may be evicted between two calls
    private const int MostResends = 2;

    private readonly Dictionary<FlamingoVisual, string> _ids = new(ReferenceEqualityComparer.Instance); // of those with bytes
    private readonly HashSet<string> _byId = new(StringComparer.Ordinal);

    public string Tenant => tenant;

    /// <summary>Calls, and calls again where the service misses pictures whose bytes are here.</summary>
    /// <param name="call">Sends the request in the form that it is given.</param>
    public async Task<TResult> SendAsync<TResult>(Func<T, Task<TResult>> call)
    {
        if (held is null) return await call(request);
        replace(request, Learn);
        for (var resends = 0; ; resends++)
        {
            try
            {
                return await call(replace(request, Form));
            }
            catch (FlamingoException refusal) when (resends < MostResends && Forget(refusal, all: resends > 0))
            {
            }
        }
    }

    /// <summary>The service has answered for these: it holds them now.</summary>
    public void Acknowledge(IEnumerable<PictureReport> reports)
    {
        var sent = _ids.Values.ToHashSet(StringComparer.Ordinal);
        foreach (var report in reports.Where(report => sent.Contains(report.Id))) held?.Add(tenant, report.Id);
    }

    private FlamingoVisual Learn(FlamingoVisual visual)
    {
        if (_ids.ContainsKey(visual)) return visual;
        var id = visual switch
        {
            FlamingoPicture picture => PictureId.Of(picture.Bytes.Span),
            FlamingoVideo video => PictureId.Of(video.Input),
            _ => null,
        };
        if (id is null) return visual;
        _ids[visual] = id;
        if (held!.Contains(tenant, id)) _byId.Add(id);
        return visual;
    }

    private FlamingoVisual Form(FlamingoVisual visual) =>
        _ids.TryGetValue(visual, out var id) && _byId.Contains(id) ? new FlamingoPictureId(id) : visual;

    /// <returns>Whether anything goes as bytes now that went by id.</returns>
    private bool Forget(FlamingoException refusal, bool all)
    {
        if (refusal is not { Kind: FlamingoErrorKind.NotFound, MissingResource: FlamingoException.Picture }) return false;
        var gone = refusal.Missing.Where(_byId.Contains).ToList();
        if (gone.Count == 0) return false;
        ClientLog.SendingAgain(logger, gone.Count);
        foreach (var id in gone) held!.Remove(tenant, id);
        if (all) _byId.Clear();
        else _byId.ExceptWith(gone);
        return true;
    }
}
