using Flamingo.Checkpoints;

namespace Flamingo.Training.Data;

/// <summary>
/// An endless, shuffled stream of sequences. Each epoch reads every file once, in an order of its own; samples wait in a bounded buffer, of
/// which each next one is drawn. The seed decides everything, so two streams of equal seed are equal. Broken samples are counted, named and
/// passed over.
/// </summary>
/// <param name="report">Counts the samples.</param>
public sealed class DataStream(DataSpec spec, SequenceEncoder encoder, DataOptions options, ulong seed, DataReport report)
{
    // parts of the seed
    private const int Files = 1, Buffer = 2, Flips = 3, Singles = 4;

    // What is known of the samples of each file: each is looked at in the first epoch, and never changes afterwards.
    private readonly List<Verdict>[] _verdicts = [.. spec.Files.Select(_ => new List<Verdict>())];

    private enum Verdict : byte
    {
        Unknown,
        Refused,
        Used,
        Single,
    }

    /// <param name="skip">
    /// Number of sequences to pass over, as if they had been returned. Samples that are known already are not encoded again, and whole
    /// epochs not even read.
    /// </param>
    /// <exception cref="CheckpointException">Too many samples are broken, none can be used, or a file cannot be opened.</exception>
    public IEnumerable<TrainingSequence> Read(long skip, CancellationToken cancellation)
    {
        for (var epoch = 0L; ; epoch++)
        {
            var draw = new Draw(seed).Of(epoch);
            if (epoch > 0 && skip > 0 && Uses(draw) is var uses && uses <= skip)
            {
                skip -= uses;
                continue;
            }

            foreach (var (sample, file, index) in Shuffle(draw.Of(Buffer), Samples(draw.Of(Files), cancellation)))
            {
                cancellation.ThrowIfCancellationRequested();
                if (skip > 0 && _verdicts[file][index] is not Verdict.Unknown and var known)
                {
                    if (IsUsed(known, draw, file, index)) skip--;
                    continue;
                }

                if (Encode(sample, draw, file, index) is not { } sequence) continue;
                if (skip > 0) skip--;
                else yield return sequence;
            }

            if (epoch == 0) report.EndEpoch();
            if (!_verdicts.Any(file => file.Any(verdict => verdict != Verdict.Refused)))
                throw new CheckpointException($"--data {spec.Path} has no sample that can be used: {report}.{report.Named()}");
        }
    }

    private static bool IsUsed(Verdict verdict, Draw draw, int file, int index, double kept) =>
        verdict == Verdict.Used || (verdict == Verdict.Single && draw.Of(Singles).Of(file).Of(index).Uniform() < kept);

    private bool IsUsed(Verdict verdict, Draw draw, int file, int index) => IsUsed(verdict, draw, file, index, options.SingleKept);

    // Number of sequences of an epoch, known once all samples are.
    private long Uses(Draw draw) => _verdicts.Index().Sum(
        file => (long)file.Item.Index().Count(sample => IsUsed(sample.Item, draw, file.Index, sample.Index)));

    private TrainingSequence? Encode(RawSample sample, Draw draw, int file, int index)
    {
        var isNew = _verdicts[file][index] == Verdict.Unknown;
        try
        {
            var encoded = encoder.Encode(sample, draw.Of(Flips).Of(file).Of(index));
            var verdict = encoded.Sequence is null ? Verdict.Refused : encoded.IsSingle ? Verdict.Single : Verdict.Used;
            _verdicts[file][index] = verdict;
            if (isNew && encoded.Rule is { } rule) report.LeaveOut(rule);
            else if (isNew) report.Usable();
            return IsUsed(verdict, draw, file, index) ? encoded.Sequence : null;
        }
        catch (SampleException broken)
        {
            _verdicts[file][index] = Verdict.Refused;
            report.Break(new BrokenSample(broken.Kind, sample.Origin, broken.Message), wasRead: !isNew);
            return null;
        }
    }

    private IEnumerable<(RawSample Sample, int File, int Index)> Samples(Draw draw, CancellationToken cancellation)
    {
        foreach (var file in options.ShuffleBuffer > 0 ? draw.Order(spec.Files.Count) : Enumerable.Range(0, spec.Files.Count).ToArray())
        {
            cancellation.ThrowIfCancellationRequested();
            var index = 0;
            foreach (var sample in Open(spec.Files[file]))
            {
                if (_verdicts[file].Count == index) _verdicts[file].Add(Verdict.Unknown);
                yield return (sample, file, index++);
            }
        }
    }

    private IEnumerable<RawSample> Open(string path) => spec.IsLines ? ExampleFile.Read(path, options) : TarShard.Read(path, options);

    private IEnumerable<(RawSample Sample, int File, int Index)> Shuffle(
        Draw draw, IEnumerable<(RawSample Sample, int File, int Index)> samples)
    {
        var (buffer, bytes, taken) = (new List<(RawSample Sample, int File, int Index)>(), 0L, 0L);
        foreach (var sample in samples)
        {
            buffer.Add(sample);
            bytes += sample.Sample.Size;
            while (buffer.Count > options.ShuffleBuffer || bytes > options.ShuffleBytes) yield return Take();
        }

        while (buffer.Count > 0) yield return Take();

        (RawSample Sample, int File, int Index) Take()
        {
            var at = draw.Of(taken++).Below(buffer.Count);
            var sample = buffer[at];
            buffer[at] = buffer[^1];
            buffer.RemoveAt(buffer.Count - 1);
            bytes -= sample.Sample.Size;
            return sample;
        }
    }
}
