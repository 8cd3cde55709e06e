using System.Collections.Concurrent;
using Flamingo.Abstractions;
using Flamingo.Gateway.Eviction;
using Flamingo.Gateway.Operations;
using Flamingo.Gateway.Stages;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;
using Microsoft.Extensions.Logging;
using Claim = (
    Flamingo.Gateway.Latents.RequestedPicture Picture, string Key,
    System.Threading.Tasks.TaskCompletionSource<Flamingo.Gateway.Latents.PictureLatents> Answer);
using FileSource = System.Func<
    System.Collections.Generic.IReadOnlyCollection<string>,
    System.Threading.Tasks.Task<System.Collections.Generic.IReadOnlyDictionary<string, Flamingo.Abstractions.VisualInput>>>;
using Item = (Flamingo.Gateway.Latents.RequestedPicture Picture, string Key);

namespace Flamingo.Gateway.Latents;

/// <summary>
/// Latents of pictures, each encoded once, whoever asks and however often. A request takes four steps, each for all of its pictures
/// together:
/// <list type="number">
/// <item>Look up in memory, then in Redis what memory lacks. A request that finds everything has waited for Redis once at most.</item>
/// <item>Claim what was not found: in this process, so that other requests wait for this one, and by leases in Redis, so that other
/// gateways do. Behind each claim one more look finds what its last owner has put since the lookup. This is the second wait.</item>
/// <item>Encode what was claimed, and meanwhile wait for what another request or gateway is encoding.</item>
/// <item>Put: into memory at once, into Redis behind the answer, which is the third wait. Before it, the leases are prolonged: nothing is
/// written under a lease that was lost.</item>
/// </list>
/// An owner that fails gives its leases back at once, and one that dies loses them; then a waiter encodes its own files and gets its own
/// errors. Where Redis does not answer, every gateway encodes for itself.
/// </summary>
public sealed class LatentCache(
    TinyLfuCache<LatentValue> memory, RedisTier redis, LatentEncoder encoder, StageDescriptions descriptions, LatentCacheCounters counters,
    RedisOptions options, TimeProvider time, ILogger<LatentCache> logger)
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(100);

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Claim> _claims = new(StringComparer.Ordinal); // of this process, by latent key

    /// <summary>Latents of every picture, from memory, from Redis or from the stages.</summary>
    /// <param name="pictures">One that stands here twice is looked up and encoded once.</param>
    /// <param name="files">
    /// One more source of files. It is asked once, for the ids of all pictures that are not cached and came without files.
    /// </param>
    /// <returns>One result per picture, in order.</returns>
    /// <exception cref="FlamingoException">
    /// NotFound for all ids that are not cached as they are needed and whose files are not there either; InvalidArgument for bad pictures,
    /// named by their fields; and whatever the stages throw.
    /// </exception>
    public async Task<IReadOnlyList<PictureLatents>> GetOrEncodeAsync(
        IReadOnlyList<RequestedPicture> pictures, Tenant tenant, CancellationToken cancellation, FileSource? files = null)
    {
        if (pictures.Count == 0) return [];
        var model = await descriptions.GetAsync(cancellation);
        List<Item> asked = [.. RequestedPicture.Distinct(pictures).Select(picture => (picture, picture.KeyUnder(model, tenant)))];
        var held = new ConcurrentDictionary<string, LatentValue>(1, asked.Count, StringComparer.Ordinal); // known to be cached, by key
        var answers = new Dictionary<string, PictureLatents>(StringComparer.Ordinal); // by picture id

        // 1 look up
        var started = time.GetTimestamp();
        var missing = asked.SelectMany(item => item.Picture.Values(item.Key, model)).ToList();
        foreach (var (key, _) in missing)
            if (memory.Get(key) is { } value) held[key] = value;
        missing.RemoveAll(value => held.ContainsKey(value.Key));
        var (found, answered) = missing.Count == 0 ? ([], false) : await redis.FindAsync(missing, cancellation);
        Hold(found, held);
        var lookup = time.GetElapsedTime(started);
        foreach (var (picture, key) in asked)
        {
            var source = found.ContainsKey(key) ? PictureSource.Redis : PictureSource.Memory;
            if (PictureLatents.Find(picture, key, held, model, source) is { } answer) answers[picture.Id] = answer;
        }

        var open = asked.Where(item => !answers.ContainsKey(item.Picture.Id)).ToList();
        if (open.Count > 0) open = await WithFilesAsync(open, held, files);

        // 2 claim, 3 encode, 4 put; once more for pictures whose other owner had a fault of its own, or did not need as much
        started = time.GetTimestamp();
        var joined = new HashSet<string>(StringComparer.Ordinal);
        while (open.Count > 0)
        {
            var (own, others) = ClaimHere(open, held, model, answers);
            if (joined.Count == 0) counters.Wait(others.Count);
            joined.UnionWith(others.Select(item => item.Picture.Id));
            // Not under the caller's cancellation: requests that wait for this one must not fail because its caller leaves.
            if (own.Count > 0) _ = AnswerAsync(own, held, answered, model, tenant, time.GetElapsedTime(started));
            await CollectAsync(own, answers, cancellation);
            open = [];
            foreach (var (picture, key, owner) in others)
            {
                if (await AnswerOfOwnerAsync(owner, picture, cancellation) is { } answer)
                    answers[picture.Id] = answer with { Vision = time.GetElapsedTime(started), Resample = TimeSpan.Zero, Waited = true };
                else open.Add((picture, key));
            }
        }

        foreach (var (picture, _) in asked)
        {
            var answer = answers[picture.Id];
            var encoded = answer.Source == PictureSource.Encoded;
            if (!encoded) counters.Save(answer.Cost);
            answers[picture.Id] = answer with { Lookup = lookup, Waited = answer.Waited || (encoded && joined.Contains(answer.Id)) };
        }

        return [.. pictures.Select(picture => answers[picture.Id])];
    }

    /// <summary>Keeps what Redis held in memory too.</summary>
    private void Hold(Dictionary<string, LatentValue> found, ConcurrentDictionary<string, LatentValue> held)
    {
        foreach (var (key, value) in found) memory.Put(key, held[key] = value);
    }

    private static async Task<List<Item>> WithFilesAsync(
        List<Item> open, ConcurrentDictionary<string, LatentValue> held, FileSource? files)
    {
        var without = open.Where(item => item.Picture.Input is null).Select(item => item.Picture.Id).ToList();
        if (without.Count == 0) return open;
        if (files is not null)
        {
            var there = await files(without);
            open = [.. open.Select(item =>
                (item.Picture with { Input = item.Picture.Input ?? there.GetValueOrDefault(item.Picture.Id) }, item.Key))];
        }

        var unknown = open.Where(item => item.Picture.Input is null).ToList();
        if (unknown.Count == 0) return open;
        var gone = unknown.Where(item => !held.ContainsKey(item.Key)).Select(item => item.Picture.Id).ToList();
        var partial = unknown.Select(item => item.Picture.Id).Except(gone).ToList();
        var said = new List<string>();
        if (gone.Count > 0)
            said.Add($"Nobody holds {(gone.Count == 1 ? "this picture" : "these pictures")} any more: {string.Join(", ", gone)}.");
        if (partial.Count > 0) said.Add($"Held without what attention maps or embeddings need: {string.Join(", ", partial)}.");
        throw new FlamingoException(FlamingoErrorKind.NotFound, $"{string.Join(' ', said)} Send the bytes again.")
        {
            Missing = [.. unknown.Select(item => item.Picture.Id)],
        };
    }

    /// <summary>
    /// Claims pictures in this process, unless another request has: an owner puts its latents into memory before it gives its claim up, so
    /// a look behind the claim finds what was put since the lookup.
    /// </summary>
    private (List<Claim> Own, List<(RequestedPicture Picture, string Key, Claim Owner)> Others) ClaimHere(
        List<Item> open, ConcurrentDictionary<string, LatentValue> held, FlamingoModel model, Dictionary<string, PictureLatents> answers)
    {
        var (own, others) = (new List<Claim>(), new List<(RequestedPicture, string, Claim)>());
        lock (_lock)
        {
            foreach (var (picture, key) in open)
            {
                if (_claims.TryGetValue(key, out var owner))
                {
                    others.Add((picture, key, owner));
                    continue;
                }

                foreach (var (name, _) in picture.Values(key, model))
                    if (!held.ContainsKey(name) && memory.Peek(name) is { } value) held[name] = value;
                if (PictureLatents.Find(picture, key, held, model, PictureSource.Memory) is { } answer)
                {
                    answers[picture.Id] = answer;
                    continue;
                }

                own.Add(_claims[key] = (picture, key, new(TaskCreationOptions.RunContinuationsAsynchronously)));
            }
        }

        return (own, others);
    }

    /// <summary>Answers every one of these claims, with an error where there is no other answer. Never throws.</summary>
    /// <param name="shared">Whether Redis answered the lookup; where it did not, there is nobody to ask for leases.</param>
    /// <param name="waited">How long their request has waited for other owners.</param>
    private async Task AnswerAsync(
        List<Claim> claims, ConcurrentDictionary<string, LatentValue> held, bool shared, FlamingoModel model, Tenant tenant,
        TimeSpan waited)
    {
        var (started, pause, encodings) = (time.GetTimestamp(), FirstPause, new List<Task>());
        try
        {
            for (var open = claims; open.Count > 0; pause = pause * 2 < LongestPause ? pause * 2 : LongestPause)
            {
                var first = ReferenceEquals(open, claims);
                if (!first) await Task.Delay(pause, time);
                var elapsed = first ? waited : waited + time.GetElapsedTime(started);
                var values = open.SelectMany(claim => claim.Picture.Values(claim.Key, model)).Where(value => !held.ContainsKey(value.Key));
                var (leases, elsewhere, found) =
                    shared ? await redis.LeaseAsync([.. open.Select(claim => claim.Key)], [.. values]) : ([], [], []);
                Hold(found, held);

                var (here, left, unneeded) = (new List<Claim>(), new List<Claim>(), new Dictionary<string, string>());
                foreach (var claim in open)
                {
                    if (PictureLatents.Find(claim.Picture, claim.Key, held, model, PictureSource.Encoded) is { } answer)
                    {
                        // Another gateway has encoded it since the lookup.
                        if (leases.Remove(claim.Key, out var token)) unneeded[claim.Key] = token;
                        Answer(claim, answer with { Vision = elapsed, Waited = true });
                        if (first) counters.WaitForAnother();
                    }
                    else if (elsewhere.Contains(claim.Key))
                    {
                        left.Add(claim);
                        if (first) counters.WaitForAnother();
                    }
                    else
                    {
                        here.Add(claim);
                    }
                }

                redis.Put([], unneeded);
                if (left.Count > 0 && time.GetElapsedTime(started) >= options.LeaseWait)
                {
                    LatentCacheLog.WaitedInVain(logger, left.Count, options.LeaseWait);
                    here.AddRange(left);
                    left = [];
                }

                if (here.Count > 0) encodings.Add(EncodeAsync(here, leases, held, model, tenant, elapsed, waitedFor: !first));
                open = left;
            }
        }
        catch (Exception exception)
        {
            foreach (var claim in claims) Fail(claim, exception);
        }

        await Task.WhenAll(encodings);
    }

    /// <summary>Encodes, puts and answers, or fails those claims that have no answer. Gives the leases back. Never throws.</summary>
    private async Task EncodeAsync(
        List<Claim> claims, Dictionary<string, string> leases, ConcurrentDictionary<string, LatentValue> held, FlamingoModel model,
        Tenant tenant, TimeSpan waited, bool waitedFor)
    {
        var open = claims.ToDictionary(claim => claim.Picture.Id);
        var values = new List<(string Picture, string Key, LatentValue Value)>();
        Exception? failure = null;
        try
        {
            await foreach (var made in encoder.EncodeAsync([.. claims.Select(claim => claim.Picture)], model, tenant))
            {
                open.Remove(made.Id, out var claim);
                var latents = Store(claim.Key, made, held, values);
                Answer(claim, made with { Latents = latents, Vision = waited + made.Vision, Waited = waitedFor });
            }
        }
        catch (Exception exception)
        {
            failure = exception;
        }

        redis.Put(values, leases);
        foreach (var claim in open.Values) Fail(claim, failure ?? new InvalidOperationException("A picture has not been encoded."));
    }

    /// <summary>Puts into memory what was made under the key that was asked for, and adds it to what Redis is to hold.</summary>
    /// <returns>Latents to answer with: those held already where an extra alone was missing, so that no answer changes.</returns>
    private ChecksummedLatents Store(
        string key, PictureLatents made, ConcurrentDictionary<string, LatentValue> held,
        List<(string Picture, string Key, LatentValue Value)> values)
    {
        if (made.Key != key)
        {
            // An answer of other weights serves this request under its own key, and is never stored under the old one.
            LatentCacheLog.MadeByOtherWeights(logger, made.Weights.Vision, made.Weights.Resampler);
            descriptions.Forget();
            return made.Latents;
        }

        if (!held.TryGetValue(key, out var latents)) Keep(key, latents = new LatentValue(made.Latents, made.Cost));
        if (made.Attention is { } attention) Keep(LatentKey.OfAttention(key), new LatentValue(ChecksummedLatents.Of(attention), made.Cost));
        if (made.Pooled is { } pooled) Keep(LatentKey.OfPooled(key), new LatentValue(ChecksummedLatents.Of(pooled), made.Cost));
        return latents.Latents;

        void Keep(string name, LatentValue value)
        {
            memory.Put(name, value);
            values.Add((key, name, value));
        }
    }

    private void Answer(Claim claim, PictureLatents answer)
    {
        GiveUp(claim);
        claim.Answer.TrySetResult(answer);
    }

    private void Fail(Claim claim, Exception exception)
    {
        GiveUp(claim);
        claim.Answer.TrySetException(exception);
        _ = claim.Answer.Task.Exception; // seen, even if the caller has left and no other request waits
    }

    // Another request may have claimed the same key since.
    private void GiveUp(Claim claim)
    {
        lock (_lock)
            if (_claims.TryGetValue(claim.Key, out var current) && current.Answer == claim.Answer) _claims.Remove(claim.Key);
    }

    private static async Task CollectAsync(List<Claim> claims, Dictionary<string, PictureLatents> answers, CancellationToken cancellation)
    {
        var failures = new HashSet<Exception>();
        foreach (var claim in claims)
        {
            try
            {
                answers[claim.Picture.Id] = await claim.Answer.Task.WaitAsync(cancellation);
            }
            catch (Exception exception) when (!cancellation.IsCancellationRequested)
            {
                failures.Add(exception);
            }
        }

        if (failures.Count == 0) return;
        static bool IsFault(Exception failure) => failure is FlamingoException { Kind: FlamingoErrorKind.InvalidArgument };
        throw failures.FirstOrDefault(failure => !IsFault(failure))
            ?? FlamingoException.Invalid([.. failures.Cast<FlamingoException>().SelectMany(failure => failure.Faults)]);
    }

    /// <returns>
    /// Null where the owner's answer does not serve this request: it lacks an extra, or there is none for a picture of the owner's that is
    /// bad, which may be another one, and whose field is the owner's anyway.
    /// </returns>
    private static async Task<PictureLatents?> AnswerOfOwnerAsync(Claim owner, RequestedPicture picture, CancellationToken cancellation)
    {
        var covers = owner.Picture.Covers(picture);
        try
        {
            var answer = await owner.Answer.Task.WaitAsync(cancellation);
            return covers ? answer : null;
        }
        catch (FlamingoException exception) when (!covers || exception.Kind == FlamingoErrorKind.InvalidArgument)
        {
            return null;
        }
    }
}
