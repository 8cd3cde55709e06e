using System.Collections.Frozen;
using System.Security.Cryptography;
using Flamingo.Abstractions;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Security.Keys;

/// <summary>
/// The keys that hold at present. The file is looked at when a key is asked for, at most once a second, and read again if it has changed. A
/// file that cannot be used leaves the keys as they were, and one warning says why.
/// </summary>
internal sealed class KeyRing
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    private readonly Lock _looking = new();
    private readonly KeyFile _file;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private volatile FrozenDictionary<string, KeyEntry> _keys;
    private object? _stamp; // null while there is no file that can be opened
    private long _looked;

    /// <exception cref="IOException">The file is missing or wrong.</exception>
    public KeyRing(KeyFile file, TimeProvider time, ILogger<KeyRing> log)
    {
        (_file, _time, _log, _looked) = (file, time, log, time.GetTimestamp());
        _stamp = file.Stamp(); // before the keys, so that a change in between is seen
        _keys = ById(file.Read());
        log.KeysRead(file.Path, _keys.Count);
    }

    /// <returns>The entry of the key.</returns>
    /// <exception cref="FlamingoException">Unauthenticated: no such key holds.</exception>
    public KeyEntry Find(AccessKey key)
    {
        LookAtFile();
        var entry = _keys.GetValueOrDefault(key.Id);
        // An unknown id takes as long as a wrong secret.
        var isSecret = CryptographicOperations.FixedTimeEquals(
            key.Digest(), entry is null ? new byte[SHA256.HashSizeInBytes] : Convert.FromHexString(entry.Sha256));
        if (entry is null || !isSecret)
            throw new FlamingoException(
                FlamingoErrorKind.Unauthenticated, "This key is not known here, or it was revoked. Ask the operator for a key.");
        return entry.Expires is { } end && end <= _time.GetUtcNow()
            ? throw new FlamingoException(
                FlamingoErrorKind.Unauthenticated, $"The key {entry.Id} expired at {end:u}. Ask the operator for another key.")
            : entry;
    }

    // Calls that come while the file is read wait for it, so that a key that was added before is known to all of them.
    private void LookAtFile()
    {
        if (!IsDue()) return;
        lock (_looking)
        {
            if (IsDue()) Look();
        }
    }

    private bool IsDue() => _time.GetElapsedTime(Volatile.Read(ref _looked)) >= Period;

    private void Look()
    {
        object? stamp = null;
        try
        {
            stamp = _file.Stamp();
            if (stamp.Equals(_stamp)) return;
            _keys = ById(_file.Read());
            _log.KeysRead(_file.Path, _keys.Count);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            if (!Equals(stamp, _stamp)) _log.KeysFileDamaged(_keys.Count, exception.Message); // once for each change
        }
        finally
        {
            _stamp = stamp;
            Volatile.Write(ref _looked, _time.GetTimestamp());
        }
    }

    private static FrozenDictionary<string, KeyEntry> ById(IReadOnlyList<KeyEntry> entries) =>
        entries.ToFrozenDictionary(entry => entry.Id, StringComparer.Ordinal);
}
