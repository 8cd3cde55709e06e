using System.Collections.Concurrent;
using Flamingo.Abstractions;
using Flamingo.Gateway.Eviction;
using Flamingo.Gateway.Operations;
using Flamingo.Gateway.Stages;
using Flamingo.Gateway.Tenants;
using Flamingo.Stages;
using Microsoft.Extensions.Logging;
using FileSource = System.Func<
    System.Collections.Generic.IReadOnlyCollection<string>,
    System.Threading.Tasks.Task<System.Collections.Generic.IReadOnlyDictionary<string, Flamingo.Abstractions.VisualInput>>>;
using Item = (Flamingo.Gateway.Latents.RequestedPicture Picture, string Key);

namespace Flamingo.Gateway.Latents;

/// <summary>
/// Returns the latents of pictures and encodes each picture only once, even for concurrent requests. A request takes four steps,
/// each for all of its pictures together:
/// <list type="number">
/// <item>Look up the pictures in memory, and the missing ones in Redis. A request that finds everything has waited for Redis at
/// most once.</item>
/// <item>Claim the pictures that were not found: in this process, so that other requests wait for this one, and by leases in
/// Redis, so that other gateways wait. After each claim, another lookup finds latents that the last owner has stored since the
/// first lookup. This is the second wait for Redis.</item>
/// <item>Encode the claimed pictures, and meanwhile wait for pictures that another request or gateway is encoding.</item>
/// <item>Store the latents: in memory at once, and in Redis after the request has been answered, which is the third wait. Before
/// that, the leases are renewed, and nothing is written under a lease that was lost.</item>
/// </list>
/// An owner that fails releases its leases at once, and the leases of an owner that dies expire. A waiting request then encodes
/// its own files and gets its own errors. If Redis does not answer, every gateway encodes on its own.
/// When the last request that waits for a claim leaves, the encoding is cancelled, and that request returns after the encoding
/// has ended, so that its permit stays with the work. A waiting request at another gateway takes over the released lease.
/// </summary>
public sealed class LatentCache(
    TinyLfuCache<LatentValue> memory, RedisTier redis, LatentEncoder encoder, StageDescriptions descriptions, LatentCacheCounters counters,
    RedisOptions options, TimeProvider time, ILogger<LatentCache> logger)
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(100);

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Claim> _claims = new(StringComparer.Ordinal); // claims of this process by latent key

    /// <summary>Returns the latents of every picture, from memory, from Redis or from the stages.</summary>
    /// <param name="pictures">The pictures; a repeated picture is looked up and encoded once.</param>
    /// <param name="files">
    /// An additional source of files. It is called once, with the ids of all pictures that are not cached and came without files.
    /// </param>
    /// <returns>One result per picture, in order.</returns>
    /// <exception cref="FlamingoException">
    /// NotFound for all ids that are not cached with everything that the request needs and whose files are not available either;
    /// InvalidArgument for pictures that cannot be decoded, named by their fields; and all exceptions of the stages.
    /// </exception>
    public async Task<IReadOnlyList<PictureLatents>> GetOrEncodeAsync(
        IReadOnlyList<RequestedPicture> pictures, Tenant tenant, CancellationToken cancellation, FileSource? files = null)
    {
        if (pictures.Count == 0) return [];
        var model = await descriptions.GetAsync(cancellation);
        List<Item> asked = [.. RequestedPicture.Distinct(pictures).Select(picture => (picture, picture.KeyUnder(model, tenant)))];
        var held = new ConcurrentDictionary<string, LatentValue>(1, asked.Count, StringComparer.Ordinal); // cached values by key
        var answers = new Dictionary<string, PictureLatents>(StringComparer.Ordinal); // answers by picture id

        // Step 1: look up.
        var started = time.GetTimestamp();
        var missing = asked.SelectMany(item => item.Picture.Values(item.Key, model)).ToList();
        using (RequestTelemetry.Steps.StartActivity("lookup memory"))
            foreach (var (key, _) in missing)
                if (memory.Get(key) is { } value) held[key] = value;
        missing.RemoveAll(value => held.ContainsKey(value.Key));
        var (found, answered) = missing.Count == 0 ? ([], false) : await redis.FindAsync(missing, cancellation);
        KeepInMemory(found, held);
        var lookup = time.GetElapsedTime(started);
        foreach (var (picture, key) in asked)
        {
            var source = found.ContainsKey(key) ? PictureSource.Redis : PictureSource.Memory;
            if (PictureLatents.Find(picture, key, held, model, source) is { } answer) answers[picture.Id] = answer;
        }

        var open = asked.Where(item => !answers.ContainsKey(item.Picture.Id)).ToList();
        if (open.Count > 0) open = await AddFilesAsync(open, held, files);

        // Steps 2 to 4: claim, encode and store. They are repeated for pictures whose other owner failed, or did not need all
        // that this request needs.
        started = time.GetTimestamp();
        var joined = new HashSet<string>(StringComparer.Ordinal);
        while (open.Count > 0)
        {
            var (own, others) = ClaimHere(open, held, model, answers);
            try
            {
                if (joined.Count == 0) counters.Wait(others.Count);
                joined.UnionWith(others.Select(item => item.Picture.Id));
                if (own.Count > 0) _ = CompleteAsync(own, held, answered, model, tenant, time.GetElapsedTime(started));
                await CollectAsync(own, answers, cancellation);
                open = [];
                foreach (var (picture, key, owner) in others)
                {
                    if (await AnswerOfOwnerAsync(owner, picture, cancellation) is not { } answer) open.Add((picture, key));
                    else answers[picture.Id] =
                        answer with { Vision = time.GetElapsedTime(started), Resample = TimeSpan.Zero, Waited = true };
                }
            }
            finally
            {
                await LeaveAsync([.. own, .. others.Select(other => other.Owner)]);
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

    private void KeepInMemory(Dictionary<string, LatentValue> found, ConcurrentDictionary<string, LatentValue> held)
    {
        foreach (var (key, value) in found) memory.Put(key, held[key] = value);
    }

    private static async Task<List<Item>> AddFilesAsync(List<Item> open, ConcurrentDictionary<string, LatentValue> held, FileSource? files)
    {
        var without = open.Where(item => item.Picture.Input is null).Select(item => item.Picture.Id).ToList();
        if (without.Count == 0) return open;
        if (files is not null)
        {
            var fetched = await files(without);
            open = [.. open.Select(item =>
                (item.Picture with { Input = item.Picture.Input ?? fetched.GetValueOrDefault(item.Picture.Id) }, item.Key))];
        }

        var unknown = open.Where(item => item.Picture.Input is null).ToList();
        if (unknown.Count == 0) return open;
        throw RequestedPicture.Missing(unknown.ToLookup(item => held.ContainsKey(item.Key), item => item.Picture.Id));
    }

    /// <summary>
    /// Joins the claims of other requests in this process, and claims the other pictures. An owner stores its latents in memory before
    /// it releases its claim, so a lookup after the claim finds latents that were stored since the first lookup.
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
                    owner.Waiting++;
                    others.Add((picture, key, owner));
                    continue;
                }

                foreach (var (name, _) in picture.Values(key, model))
                    if (!held.ContainsKey(name) && memory.Peek(name) is { } value) held[name] = value;
                if (PictureLatents.Find(picture, key, held, model, PictureSource.Memory) is { } answer) answers[picture.Id] = answer;
                else own.Add(_claims[key] = new Claim(picture, key));
            }
        }

        return (own, others);
    }

    /// <summary>
    /// Stops waiting for claims. Claims for which no other request waits are withdrawn, and their encodings have ended when this
    /// method returns.
    /// </summary>
    private async Task LeaveAsync(IReadOnlyList<Claim> claims)
    {
        var withdrawn = new List<Claim>();
        lock (_lock)
        {
            // All claims are counted before any encoding is cancelled, so that an encoding sees all its withdrawn claims at once.
            foreach (var claim in claims)
            {
                if (--claim.Waiting > 0 || claim.Answer.Task.IsCompleted) continue;
                withdrawn.Add(claim);
                Release(claim);
            }
        }

        foreach (var claim in withdrawn) await claim.Withdrawal.CancelAsync();
        foreach (var claim in withdrawn) await ((Task)claim.Answer.Task).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>Completes every one of these claims, with latents or with an error. Never throws.</summary>
    /// <param name="shared">Whether Redis answered the lookup; if it did not, no leases are requested.</param>
    /// <param name="waited">How long the request has already waited for other owners.</param>
    private async Task CompleteAsync(
        List<Claim> claims, ConcurrentDictionary<string, LatentValue> held, bool shared, FlamingoModel model, Tenant tenant,
        TimeSpan waited)
    {
        var (started, pause, encodings) = (time.GetTimestamp(), FirstPause, new List<Task>());
        try
        {
            for (var open = claims; open.Count > 0; pause = pause * 2 < LongestPause ? pause * 2 : LongestPause)
            {
                var first = ReferenceEquals(open, claims);
                if (!first)
                {
                    await Task.Delay(pause, time);
                    foreach (var claim in open.Where(claim => claim.Waiting == 0)) Fail(claim, new OperationCanceledException());
                    open = [.. open.Where(claim => !claim.Answer.Task.IsCompleted)];
                    if (open.Count == 0) break;
                }

                var elapsed = first ? waited : waited + time.GetElapsedTime(started);
                var values = open.SelectMany(claim => claim.Picture.Values(claim.Key, model)).Where(value => !held.ContainsKey(value.Key));
                var (leases, elsewhere, found) =
                    shared ? await redis.LeaseAsync([.. open.Select(claim => claim.Key)], [.. values]) : ([], [], []);
                KeepInMemory(found, held);

                var (here, left, unneeded) = (new List<Claim>(), new List<Claim>(), new Dictionary<string, string>());
                foreach (var claim in open)
                {
                    if (PictureLatents.Find(claim.Picture, claim.Key, held, model, PictureSource.Encoded) is { } answer)
                    {
                        // Another gateway has encoded the picture since the first lookup.
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

    /// <summary>
    /// Encodes the pictures, stores their latents and completes the claims, with an error if the encoding failed. Releases the
    /// leases. Never throws.
    /// </summary>
    private async Task EncodeAsync(
        List<Claim> claims, Dictionary<string, string> leases, ConcurrentDictionary<string, LatentValue> held, FlamingoModel model,
        Tenant tenant, TimeSpan waited, bool waitedFor)
    {
        var open = claims.ToDictionary(claim => claim.Picture.Id);
        var values = new List<(string Picture, string Key, LatentValue Value)>();
        Exception? failure = null;
        using var withdrawal = CancellationTokenSource.CreateLinkedTokenSource([.. claims.Select(claim => claim.Withdrawal.Token)]);
        try
        {
            await foreach (var made in encoder.EncodeAsync([.. claims.Select(claim => claim.Picture)], model, tenant, withdrawal.Token))
            {
                open.Remove(made.Id, out var claim);
                var latents = Store(claim!.Key, made, held, values);
                Answer(claim, made with { Latents = latents, Vision = waited + made.Vision, Waited = waitedFor });
            }
        }
        catch (Exception exception)
        {
            failure = exception;
        }

        // Other requests may wait for some pictures of a cancelled call. Each of these is encoded in a call of its own, which no
        // other picture can cancel, so that a picture is begun at most twice.
        var wanted = open.Values.Where(claim => withdrawal.IsCancellationRequested && claim.Waiting > 0).ToDictionary(claim => claim.Key);
        redis.Put(values, leases.Where(lease => !wanted.ContainsKey(lease.Key)).ToDictionary());
        foreach (var claim in open.Values.Where(claim => !wanted.ContainsKey(claim.Key)))
            Fail(claim, failure ?? new InvalidOperationException("A picture has not been encoded."));
        await Task.WhenAll(wanted.Values.Select(claim => EncodeAsync(
            [claim], leases.Where(lease => lease.Key == claim.Key).ToDictionary(), held, model, tenant, waited, waitedFor)));
    }

    /// <summary>Stores latents in memory if they have the requested key, and adds them to the values to write to Redis.</summary>
    /// <returns>The latents to answer with. If only attention or embedding was missing, these are the latents held already, so
    /// that repeated requests get the same latents.</returns>
    private ChecksummedLatents Store(
        string key, PictureLatents made, ConcurrentDictionary<string, LatentValue> held,
        List<(string Picture, string Key, LatentValue Value)> values)
    {
        if (made.Key != key)
        {
            // Latents of other weights answer this request under their own key, and are not stored under the requested key.
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
        Release(claim);
        claim.Answer.TrySetResult(answer);
    }

    private void Fail(Claim claim, Exception exception)
    {
        Release(claim);
        claim.Answer.TrySetException(exception);
        _ = claim.Answer.Task.Exception; // marks the exception as observed, even if no request waits for it
    }

    // The check is needed because another request may have claimed the same key since.
    private void Release(Claim claim)
    {
        lock (_lock)
            if (_claims.TryGetValue(claim.Key, out var current) && current == claim) _claims.Remove(claim.Key);
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
    /// Null if the owner's result cannot be used: it lacks attention or an embedding that this request needs, or the owner's
    /// request failed with InvalidArgument. That error may be about another picture, and it names fields of the owner's request.
    /// </returns>
    private static async Task<PictureLatents?> AnswerOfOwnerAsync(Claim owner, RequestedPicture picture, CancellationToken cancellation)
    {
        var covers = owner.Picture.Covers(picture);
        using var span = RequestTelemetry.Steps.StartActivity("wait");
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

    /// <summary>A picture that one request of this process encodes, and for which others may wait.</summary>
    private sealed class Claim(RequestedPicture picture, string key)
    {
        public RequestedPicture Picture { get; } = picture;

        public string Key { get; } = key;

        /// <summary>Number of requests that wait, the owner included; changed under the lock. At 0 the claim is withdrawn.</summary>
        public int Waiting { get; set; } = 1;

        /// <summary>Cancelled when the claim was withdrawn.</summary>
        public CancellationTokenSource Withdrawal { get; } = new();

        /// <summary>Completed when the picture is encoded, or when its encoding has failed or has been cancelled.</summary>
        public TaskCompletionSource<PictureLatents> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
