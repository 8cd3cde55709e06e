using Flamingo.Abstractions;
using Flamingo.Client.Connecting;
using Microsoft.Extensions.Logging;

namespace Flamingo.Client.Pictures;

/// <summary>
/// A request to the service. Its pictures are sent by id if the service is believed to hold them, and as bytes otherwise. If the
/// service turns out not to hold a picture, the request is sent again with the bytes.
/// </summary>
/// <param name="replace">Returns a copy of the request in which each picture is replaced by the function's result.</param>
/// <param name="held">Ids that the service holds; null sends all pictures as the caller gave them.</param>
internal sealed class OutgoingRequest<T>(
    T request, string tenant, Func<T, Func<FlamingoVisual, FlamingoVisual>, T> replace, HeldPictures? held, ILogger logger)
{
    // The first resend carries the bytes of the pictures that the service named, the second all bytes, because the service may
    // evict more pictures between two calls.
    private const int MostResends = 2;

    // ids of the pictures that have bytes
    private readonly Dictionary<FlamingoVisual, string> _ids = new(ReferenceEqualityComparer.Instance);
    private readonly HashSet<string> _byId = new(StringComparer.Ordinal);

    public string Tenant => tenant;

    /// <summary>Makes the call, and repeats it with bytes if the service lacks pictures that the caller gave as bytes.</summary>
    /// <param name="call">Sends the request that it is given.</param>
    public async Task<TResult> SendAsync<TResult>(Func<T, Task<TResult>> call)
    {
        if (held is null) return await call(request);
        replace(request, AddId);
        for (var resends = 0; ; resends++)
        {
            try
            {
                return await call(replace(request, IdOrBytes));
            }
            catch (FlamingoException refusal) when (resends < MostResends && RemoveMissing(refusal, all: resends > 0))
            {
            }
        }
    }

    /// <summary>Records that the service holds these pictures.</summary>
    public void Acknowledge(IEnumerable<PictureReport> reports)
    {
        var sent = _ids.Values.ToHashSet(StringComparer.Ordinal);
        foreach (var report in reports.Where(report => sent.Contains(report.Id))) held?.Add(tenant, report.Id);
    }

    private FlamingoVisual AddId(FlamingoVisual visual)
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

    private FlamingoVisual IdOrBytes(FlamingoVisual visual) =>
        _ids.TryGetValue(visual, out var id) && _byId.Contains(id) ? new FlamingoPictureId(id) : visual;

    /// <returns>Whether a picture that was sent by id will now be sent as bytes.</returns>
    private bool RemoveMissing(FlamingoException refusal, bool all)
    {
        if (refusal is not { Kind: FlamingoErrorKind.NotFound, MissingResource: FlamingoException.Picture }) return false;
        var missing = (refusal.IsAnyMissing ? _byId : refusal.Missing.Where(_byId.Contains)).ToList();
        if (missing.Count == 0) return false;
        ClientLog.SendingAgain(logger, missing.Count);
        foreach (var id in missing) held!.Remove(tenant, id);
        if (all) _byId.Clear();
        else _byId.ExceptWith(missing);
        return true;
    }
}
