using System.Security.Cryptography;
using Flamingo.Checkpoints;

namespace Flamingo.Import;

/// <summary>Counts the bytes that an import has written, digested and hashed, and reports progress.</summary>
internal sealed class ProgressMeter(IProgress<ImportProgress>? progress, TimeProvider time, long total)
{
    private readonly long _started = time.GetTimestamp();
    private long _done;

    public void Add(string what, long bytes)
    {
        _done += bytes;
        var passed = time.GetElapsedTime(_started);
        TimeSpan? left = passed >= TimeSpan.FromSeconds(1) && _done > 0 ? passed * ((double)(total - _done) / _done) : null;
        progress?.Report(new ImportProgress(what, _done, total) { Left = left });
    }
}

/// <summary>Computes what the provenance of a model records about a published file: its name, size and SHA-256.</summary>
internal static class SourceHash
{
    private const int Part = 16 << 20;

    public static SourceFile Of(string file, ProgressMeter meter, CancellationToken cancellation)
    {
        using var stream = File.OpenRead(file);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var (buffer, name) = (new byte[(int)Math.Min(Part, Math.Max(1, stream.Length))], Path.GetFileName(file));
        for (int read; (read = stream.Read(buffer)) > 0;)
        {
            cancellation.ThrowIfCancellationRequested();
            hash.AppendData(buffer, 0, read);
            meter.Add(name, read);
        }

        return new SourceFile(name, stream.Length, Convert.ToHexStringLower(hash.GetHashAndReset()));
    }
}
