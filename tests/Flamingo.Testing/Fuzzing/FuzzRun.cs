using Flamingo.Checkpoints;
using Xunit;

namespace Flamingo.Testing.Fuzzing;

/// <summary>
/// Reads many spoiled files. Each either reads as something sane or is refused by a <see cref="CheckpointException"/> that names
/// it, in bounded memory and time.
/// </summary>
/// <param name="Accepted">Number of changed files that were read without an error.</param>
public sealed record FuzzRun(int Accepted, int Refused)
{
    private const long ConstantBytes = 64 << 20;
    private const long BytesPerByte = 256; // a one-byte opcode can create a dictionary
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3); // time limit of a whole run, which only an endless loop reaches

    /// <param name="file">The file to which the bytes of every try are written.</param>
    /// <param name="make">Creates the bytes of one try.</param>
    /// <param name="read">Reads the file and asserts that the result is valid.</param>
    /// <param name="names">The error message must contain one of these names; the name of the file if none is given.</param>
    public static FuzzRun Of(int seed, int tries, string file, Func<Random, byte[]> make, Action<string> read, params string[] names)
    {
        var number = 0;
        var run = Task.Factory.StartNew(() =>
        {
            var refused = 0;
            for (; number < tries; number++)
                if (Try(seed, number, file, make, read, names.Length == 0 ? [Path.GetFileName(file)] : names)) refused++;
            return new FuzzRun(tries - refused, refused);
        }, TaskCreationOptions.LongRunning);
        Assert.True(run.ContinueWith(_ => { }, TaskScheduler.Default).Wait(Patience), $"seed {seed}, try {number} does not end");
        return run.GetAwaiter().GetResult();
    }

    private static bool Try(int seed, int number, string file, Func<Random, byte[]> make, Action<string> read, string[] names)
    {
        // Every try has its own random generator, so that its number is enough to repeat it.
        var bytes = make(new Random(unchecked((seed * 1_000_003) + number)));
        File.WriteAllBytes(file, bytes);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var exception = Record.Exception(() => read(file));
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        var which = $"seed {seed}, try {number} ({bytes.Length} bytes)";
        Assert.True(exception is null or CheckpointException, $"{which}: {exception}");
        Assert.True(exception is null
            || names.Any(name =>
                exception.Message.Contains(name, StringComparison.Ordinal)), $"{which} does not name its file: {exception?.Message}");
        Assert.True(allocated <= ConstantBytes
            + (BytesPerByte * bytes.Length), $"{which} took {allocated} bytes of memory: {exception?.Message}");
        return exception is not null;
    }
}
