using Flamingo.Checkpoints;
using Xunit;

namespace Flamingo.Testing.Fuzzing;

/// <summary>Reads many spoiled files. Each either reads as something sane or is refused by a <see cref="CheckpointException"/> that names it, in bounded memory and time.</summary>
/// <param name="Accepted">Tries that were read all the same.</param>
public sealed record FuzzRun(int Accepted, int Refused)
{
    private const long ConstantBytes = 64 << 20;
    private const long BytesPerByte = 256; // one opcode of one byte makes a dictionary
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3); // of a whole run: only what never ends gets there

    /// <param name="file">Receives every try's bytes.</param>
    /// <param name="make">The bytes of one try.</param>
    /// <param name="read">Reads the file and asserts that what it read is sane.</param>
    /// <param name="names">What a refusal's message must contain one of; the file's own name where none is given.</param>
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
        // every try has a generator of its own: number alone repeats it
        var bytes = make(new Random(unchecked((seed * 1_000_003) + number)));
        File.WriteAllBytes(file, bytes);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var exception = Record.Exception(() => read(file));
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        var which = $"seed {seed}, try {number} ({bytes.Length} bytes)";
        Assert.True(exception is null or CheckpointException, $"{which}: {exception}");
        Assert.True(exception is null || names.Any(name => exception.Message.Contains(name, StringComparison.Ordinal)), $"{which} does not name its file: {exception?.Message}");
        Assert.True(allocated <= ConstantBytes + (BytesPerByte * bytes.Length), $"{which} took {allocated} bytes of memory: {exception?.Message}");
        return exception is not null;
    }
}
