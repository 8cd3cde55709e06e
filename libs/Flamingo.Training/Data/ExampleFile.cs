using System.Buffers;
using System.Text;

namespace Flamingo.Training.Data;

/// <summary>Reads the lines of a JSONL file. Empty lines are no samples.</summary>
internal static class ExampleFile
{
    public static IEnumerable<RawSample> Read(string path, DataOptions options)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16);
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        var (line, number, chunk) = (new ArrayBufferWriter<byte>(), 1L, new byte[1 << 16]);
        var isTooLong = false;
        for (int count; (count = file.Read(chunk)) > 0;)
        {
            var rest = chunk.AsMemory(0, count);
            for (int end; (end = rest.Span.IndexOf((byte)'\n')) >= 0; rest = rest[(end + 1)..])
            {
                Take(rest[..end]);
                if (Finish() is { } sample) yield return sample;
                number++;
            }

            Take(rest);
        }

        if (Finish() is { } last) yield return last;

        void Take(ReadOnlyMemory<byte> part)
        {
            isTooLong |= line.WrittenCount + part.Length > options.MaxLineBytes;
            if (!isTooLong) line.Write(part.Span);
        }

        RawSample? Finish()
        {
            var (tooLong, origin) = (isTooLong, $"{path} line {number}");
            var bytes = line.WrittenSpan;
            if (number == 1 && bytes.StartsWith(Encoding.UTF8.Preamble)) bytes = bytes[Encoding.UTF8.Preamble.Length..];
            var sample = tooLong
                ? new UnreadableSample(new(BrokenKind.TooLong, origin, $"the line has more than {options.MaxLineBytes} bytes."))
                : bytes.Trim(" \t\r"u8).Length == 0 ? (RawSample?)null : new ExampleSample(origin, folder, bytes.ToArray());
            line.ResetWrittenCount();
            isTooLong = false;
            return sample;
        }
    }
}
