using Flamingo.Protos.V1;
using Google.Protobuf.Collections;
using Grpc.Core;

namespace Flamingo.Client.Pictures;

/// <summary>
/// The pictures of one request on their way out: by id where the service is believed to hold them, as bytes otherwise and
/// when it turns out that it does not. The caller's message stays as it is; a copy is sent, which shares the bytes.
/// </summary>
internal sealed class OutgoingPictures
{
    // the first time what was named, the second time everything: more may be evicted between two calls
    private const int MostResends = 2;

    private readonly HeldPictures _held;
    private readonly Dictionary<string, List<Action>> _byBytes = new(StringComparer.Ordinal); // id → what puts its bytes back, per place
    private readonly HashSet<string> _byId = new(StringComparer.Ordinal);

    private OutgoingPictures(HeldPictures held) => _held = held;

    /// <param name="copy">A copy of the caller's segments, which is changed.</param>
    public static OutgoingPictures Of(RepeatedField<PromptSegment> copy, HeldPictures held)
    {
        var outgoing = new OutgoingPictures(held);
        for (var place = 0; place < copy.Count; place++)
        {
            var (segments, at, whole) = (copy, place, copy[place]);
            if (IdOf(whole.Picture, whole.HasPicture, whole.Video) is { } id) outgoing.Add(id, () => segments[at] = new PromptSegment { PictureId = id }, () => segments[at] = whole);
        }

        return outgoing;
    }

    /// <param name="copy">Pictures of a copy of the caller's message, which are changed.</param>
    public static OutgoingPictures Of(IEnumerable<Visual> copy, HeldPictures held)
    {
        var outgoing = new OutgoingPictures(held);
        foreach (var visual in copy)
        {
            var whole = visual.Clone();
            if (IdOf(whole.Picture, whole.HasPicture, whole.Video) is { } id) outgoing.Add(id, () => visual.PictureId = id, () => visual.MergeFrom(whole));
        }

        return outgoing;
    }

    /// <summary>Calls, and calls again where the service misses pictures whose bytes are here.</summary>
    /// <param name="call">Sends the copy as it is at that time.</param>
    public async Task<T> SendAsync<T>(Func<Task<T>> call)
    {
        for (var resends = 0; ; resends++)
        {
            try
            {
                return await call();
            }
            catch (FlamingoException refusal) when (refusal.StatusCode == StatusCode.NotFound && resends < MostResends)
            {
                if (!Restore(refusal.MissingPictures, all: resends > 0)) throw;
            }
        }
    }

    /// <summary>The service has answered for these: it holds them now.</summary>
    public void Acknowledge(IEnumerable<PictureReport> reports)
    {
        foreach (var report in reports.Where(report => _byBytes.ContainsKey(report.Id))) _held.Add(report.Id);
    }

    private void Add(string id, Action byId, Action byBytes)
    {
        if (!_byBytes.TryGetValue(id, out var places)) _byBytes[id] = places = [];
        places.Add(byBytes);
        if (!_byId.Contains(id) && !_held.Contains(id)) return;
        _byId.Add(id);
        byId();
    }

    /// <returns>Whether anything goes as bytes now that went by id.</returns>
    private bool Restore(IReadOnlyList<string> missing, bool all)
    {
        var gone = missing.Where(_byId.Contains).ToList();
        if (gone.Count == 0) return false;
        foreach (var id in gone) _held.Remove(id);
        foreach (var id in all ? [.. _byId] : gone)
        {
            _byId.Remove(id);
            foreach (var byBytes in _byBytes[id]) byBytes();
        }

        return true;
    }

    private static string? IdOf(Google.Protobuf.ByteString picture, bool still, VisualInput? video) => still ? PictureId.Of(picture.Span) : video is not null ? PictureId.Of(video) : null;
}
