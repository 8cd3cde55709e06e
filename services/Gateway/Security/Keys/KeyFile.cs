using System.Text.Json;
using System.Text.Json.Serialization;
using Flamingo.Abstractions;
using Microsoft.Win32.SafeHandles;

namespace Flamingo.Gateway.Security.Keys;

/// <summary>What a keys file holds of one key.</summary>
public sealed record KeyEntry
{
    /// <summary>Roles of a key.</summary>
    public const string User = "user", Operator = OperatorCalls.Role;

    /// <summary>The part of the key that names it: 1 to 64 letters and digits.</summary>
    public required string Id { get; init; }

    /// <summary>SHA-256 of the secret's text: 64 hexadecimal digits.</summary>
    public required string Sha256 { get; init; }

    /// <inheritdoc cref="TenantName"/>
    public required string Tenant { get; init; }

    /// <summary><see cref="User"/> or <see cref="Operator"/>.</summary>
    public string Role { get; init; } = User;

    public DateTimeOffset? Created { get; init; }

    /// <summary>From this time on the key is refused; null: never.</summary>
    public DateTimeOffset? Expires { get; init; }

    /// <summary>For people; it has no effect.</summary>
    public string Note { get; init; } = "";
}

/// <summary>
/// A file of keys: <c>{"keys": [{"id", "sha256", "tenant", "role", "created", "expires", "note"}]}</c>. It holds no secret.
/// </summary>
/// <param name="path">The file. A symbolic link is followed.</param>
public sealed class KeyFile(string path)
{
    private const int MostBytes = 16 << 20;

    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, WriteIndented = true, AllowDuplicateProperties = false,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, RespectNullableAnnotations = true,
    };

    public string Path { get; } = System.IO.Path.GetFullPath(path);

    /// <summary>Reads the file and checks every entry.</summary>
    /// <exception cref="IOException">The file is missing, unreadable or wrong; the message names it and the problem.</exception>
    public IReadOnlyList<KeyEntry> Read()
    {
        using var handle = Open();
        var length = RandomAccess.GetLength(handle);
        if (length > MostBytes) throw new IOException($"{Path} is larger than {MostBytes >> 20} MiB. Remove keys that have expired.");
        var bytes = new byte[length];
        var read = 0;
        for (int count; read < bytes.Length && (count = RandomAccess.Read(handle, bytes.AsSpan(read), read)) > 0;) read += count;
        return Parse(bytes.AsSpan(0, read));
    }

    /// <summary>A value that changes when the file is written or replaced, also behind symbolic links.</summary>
    /// <inheritdoc cref="Read"/>
    public object Stamp()
    {
        using var handle = Open();
        return (File.GetLastWriteTimeUtc(handle), RandomAccess.GetLength(handle));
    }

    /// <summary>
    /// Replaces the file at once by one with changed entries, so that no reader sees half of it. A new file can be read by its owner only;
    /// an existing one keeps its mode. Other processes that change the file meanwhile are refused.
    /// </summary>
    /// <param name="change">Changes the list. It is empty if there is no file yet.</param>
    /// <exception cref="IOException">The file is wrong, cannot be written, or is being changed by another process.</exception>
    public void Change(Action<List<KeyEntry>> change)
    {
        var target = new FileInfo(Path).LinkTarget is null ? Path : File.ResolveLinkTarget(Path, returnFinalTarget: true)!.FullName;
        using var turn = Lock(target + ".lock");
        List<KeyEntry> entries = File.Exists(target) ? [.. Read()] : [];
        change(entries);
        var bytes = JsonSerializer.SerializeToUtf8Bytes(new Contents { Keys = entries }, Json);
        var mode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        if (!OperatingSystem.IsWindows() && File.Exists(target)) mode = File.GetUnixFileMode(target);
        var next = $"{target}.{Environment.ProcessId}.new";
        try
        {
            File.Delete(next); // what a process of the same number left behind when it was killed
            using (var stream = new FileStream(next, Private(FileMode.CreateNew)))
            {
                stream.Write(bytes);
                stream.Flush(flushToDisk: true);
            }

            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(next, mode);
            File.Move(next, target, overwrite: true);
        }
        catch
        {
            File.Delete(next);
            throw;
        }
    }

    private SafeFileHandle Open()
    {
        try
        {
            return File.OpenHandle(Path, share: FileShare.ReadWrite | FileShare.Delete);
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new IOException($"{Path} does not exist. 'flamingo key new --tenant NAME --file FILE' creates it.", exception);
        }
        catch (UnauthorizedAccessException exception)
        {
            throw new IOException($"{Path} cannot be read by this user. Run the gateway as the file's owner, or change its mode.",
                exception);
        }
    }

    private List<KeyEntry> Parse(ReadOnlySpan<byte> bytes)
    {
        List<KeyEntry> entries;
        try
        {
            entries = (JsonSerializer.Deserialize<Contents>(bytes, Json) ?? throw new JsonException("It is null.")).Keys;
        }
        catch (JsonException exception)
        {
            throw new IOException($"{Path} is not a keys file: {exception.Message}", exception);
        }

        var ids = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (index, entry) in entries.Index())
        {
            var fault = entry switch
            {
                null => "is null. Remove it.",
                _ when !AccessKey.IsId(entry.Id) => "id is no id of a key. Give 1 to 64 letters and digits.",
                _ when !ids.Add(entry.Id) => $"id '{entry.Id}' is that of another key. Remove one of them.",
                _ when entry.Sha256.Length != 64 || !entry.Sha256.All(char.IsAsciiHexDigit) =>
                    "sha256 is no SHA-256. Give 64 hexadecimal digits.",
                _ when !TenantName.IsWellFormed(entry.Tenant) =>
                    $"tenant is no name. Give at most {TenantName.MostCharacters} characters of A-Z a-z 0-9 . _ -",
                _ when entry.Role is not (KeyEntry.User or KeyEntry.Operator) => "role is unknown. Give user or operator.",
                _ => null,
            };
            if (fault is not null) throw new IOException($"{Path} is not a keys file: keys[{index}] {fault}");
        }

        return entries;
    }

    // The lock file stays, because two processes could lock two files of the same name if one of them deleted it.
    private FileStream Lock(string file)
    {
        try
        {
            return new FileStream(file, Private(FileMode.OpenOrCreate));
        }
        catch (UnauthorizedAccessException exception)
        {
            throw new IOException($"{Path} cannot be changed by this user, because {file} cannot be written.", exception);
        }
        catch (DirectoryNotFoundException exception)
        {
            throw new IOException($"The folder of {Path} does not exist. Create it first.", exception);
        }
        catch (IOException exception)
        {
            throw new IOException($"{Path} is being changed by another process. Try again.", exception);
        }
    }

    private static FileStreamOptions Private(FileMode mode)
    {
        var options = new FileStreamOptions { Mode = mode, Access = FileAccess.ReadWrite, Share = FileShare.None };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        return options;
    }

    private sealed class Contents
    {
        public required List<KeyEntry> Keys { get; init; }
    }
}
