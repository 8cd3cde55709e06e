using System.Buffers.Binary;
using Flamingo.Abstractions;
using Flamingo.Evaluation.Datasets;

namespace Flamingo.Evaluation.Runs;

/// <summary>
/// Asks one planned query of a model or server, through the interfaces that both implement: with the model's own templates for captions,
/// questions and labels, and with the benchmark's own words for the rest.
/// </summary>
/// <param name="tenant">Tenant of every request.</param>
public sealed class QueryAsker(
    IFlamingo flamingo, ITasks tasks, FlamingoModel model, Benchmark benchmark, RunOptions options, string tenant = TenantName.Default)
{
    private static readonly FlamingoPicture Blank = new(GreyPicture());

    /// <exception cref="FlamingoException">The request was refused or failed.</exception>
    /// <exception cref="BenchmarkException">A picture file cannot be read any more.</exception>
    public async Task<ItemAnswer> AskAsync(PlannedQuery planned, CancellationToken cancellation)
    {
        var answer = new ItemAnswer(benchmark.Name, planned.Query.Group, planned.Condition, planned.Query.Id, planned.ShotIds, "");
        return benchmark.Kind switch
        {
            BenchmarkKind.Caption => Told(answer, await tasks.CaptionAsync(new CaptionTask(Prompt(planned), Sampling), cancellation)),
            BenchmarkKind.Answer => Told(answer, await tasks.AnswerAsync(
                new AnswerTask(Prompt(planned), planned.Query.Question, Sampling), cancellation)),
            BenchmarkKind.Classify => Labelled(answer, await ClassifyAsync(planned, cancellation)),
            _ when benchmark.Labels.Count > 0 => Labelled(answer, await RankAsync(planned, cancellation)),
            _ => await CompleteAsync(answer, planned, cancellation),
        };
    }

    private SamplingParameters Sampling => new()
    {
        MaxTokens = options.MaxTokens ?? benchmark.MaxTokens, Beams = options.Beams,
        LengthPenalty = options.Beams > 1 ? options.LengthPenalty : 1,
    };

    private ItemAnswer Told(ItemAnswer answer, TaskAnswer told) =>
        answer with { Text = told.Text, Shots = Drawn(answer.Shots, told.Pictures.Shots) };

    private async Task<ItemAnswer> CompleteAsync(ItemAnswer answer, PlannedQuery planned, CancellationToken cancellation)
    {
        var request = new FlamingoRequest(Segments(planned, planned.Shots), Sampling) { Tenant = tenant, SupportSet = SupportSet(planned) };
        var complete = await flamingo.CompleteAsync(request, cancellation);
        return answer with { Text = complete.Text, Shots = Drawn(answer.Shots, complete.Shots) };
    }

    private ItemAnswer Labelled(ItemAnswer answer, double[] scores) =>
        answer with { Text = benchmark.Labels[scores.Index().MaxBy(one => one.Item).Index], Scores = scores };

    // The likelihood of a label does not depend on the other labels, so more labels than the server takes at once are asked in turns.
    private Task<double[]> ClassifyAsync(PlannedQuery planned, CancellationToken cancellation) => EnsembleAsync(planned, async shots =>
    {
        var scores = new double[benchmark.Labels.Count];
        var first = 0;
        foreach (var labels in benchmark.Labels.Chunk(model.Language.MaxCandidates))
        {
            var task = new ClassifyTask(Prompt(planned with { Shots = shots }), labels) { Ensemble = ServerEnsemble(planned) };
            foreach (var label in (await tasks.ClassifyAsync(task, cancellation)).Labels) scores[first + label.Index] = label.Score;
            first += labels.Length;
        }

        return scores;
    });

    private Task<double[]> RankAsync(PlannedQuery planned, CancellationToken cancellation) => EnsembleAsync(planned, async shots =>
    {
        var request = new FlamingoRankRequest(Segments(planned, shots), [.. benchmark.Labels.Select(label => $" {label}")])
        {
            Tenant = tenant, SupportSet = SupportSet(planned), Ensemble = ServerEnsemble(planned),
        };
        return [.. (await flamingo.RankAsync(request, cancellation)).Candidates.Select(candidate => candidate.Mean)];
    });

    // Averages over orders of the shots, as the Flamingo paper does: the order in which shots come sways a model more than it should.
    private async Task<double[]> EnsembleAsync(PlannedQuery planned, Func<IReadOnlyList<BenchmarkItem>, Task<double[]>> scoresOf)
    {
        var orders = planned.Shots.Count < 2 || planned.TextAlone ? 1 : options.Ensemble;
        var mean = new double[benchmark.Labels.Count];
        for (var order = 0; order < orders; order++)
        {
            IReadOnlyList<BenchmarkItem> shots = order == 0 ? planned.Shots : [.. SeededOrder.Shuffled(
                planned.Shots, planned.Condition.Seed, $"order {order} of {planned.Query.Id}", shot => shot.Id)];
            var scores = await scoresOf(shots);
            for (var label = 0; label < mean.Length; label++) mean[label] += scores[label] / orders;
        }

        return mean;
    }

    private Ensemble? ServerEnsemble(PlannedQuery planned) =>
        SupportSet(planned) is not null && options.Ensemble > 1 ? new Ensemble(options.Ensemble, planned.Condition.Seed) : null;

    private static SupportSetChoice? SupportSet(PlannedQuery planned) => planned.Condition switch
    {
        { Selection: RunOptions.Random or RunOptions.Rices or RunOptions.Own } or { Shots: 0 } => null,
        // The server's draw knows only a seed, so each query has its own; otherwise all queries of a trial would have the same shots.
        var drawn => new SupportSetChoice(
            drawn.Selection, ShotSelection.Random, drawn.Shots, SeededOrder.Key(drawn.Seed, "support set", planned.Query.Id)),
    };

    private static IReadOnlyList<string> Drawn(IReadOnlyList<string> planned, SelectedShots? bySupportSet) =>
        bySupportSet is null ? planned : [.. bySupportSet.Examples.Select(example => $"{bySupportSet.Name}:{example}")];

    private TaskPrompt Prompt(PlannedQuery planned) => new(Picture(planned.Query.Parts.OfType<PicturePart>().First()))
    {
        Tenant = tenant, SupportSet = SupportSet(planned),
        Examples = [.. planned.Shots.Select(shot => new TaskExample(
            planned.TextAlone ? null : planned.Blank ? Blank : Picture(shot.Parts.OfType<PicturePart>().First()), shot.Question,
                shot.Answer))],
        // The model's own examples without pictures are for queries without any other.
        ZeroShot = planned.Shots.Count > 0 ? false : null,
    };

    private List<FlamingoSegment> Segments(PlannedQuery planned, IReadOnlyList<BenchmarkItem> shots)
    {
        var segments = new List<FlamingoSegment>();
        foreach (var shot in shots)
        {
            Add(shot, planned.TextAlone, planned.Blank);
            AddText($"{(NeedsSpace(shot) ? " " : "")}{shot.Answer}{model.Language.EndOfChunkToken}");
        }

        Add(planned.Query, textAlone: false, blank: false);
        return segments;

        void Add(BenchmarkItem item, bool textAlone, bool blank)
        {
            foreach (var part in item.Parts)
                if (part is TextPart { Text: var text }) AddText(text);
                else if (!textAlone) segments.Add(blank ? Blank : Picture((PicturePart)part));
        }

        void AddText(string text)
        {
            if (segments is [.., FlamingoText { Text: var before }]) segments[^1] = new FlamingoText(before + text);
            else segments.Add(new FlamingoText(text));
        }
    }

    // Labels are ranked as " label"; a shot shows them in the same form.
    private bool NeedsSpace(BenchmarkItem shot) => benchmark.Labels.Count > 0 && !shot.Answer.StartsWith(' ');

    private static FlamingoPicture Picture(PicturePart part)
    {
        try
        {
            return new FlamingoPicture(File.ReadAllBytes(part.File));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new BenchmarkException(
                $"{part.File} cannot be read: {exception.Message} It was there when the run began; put it back and "
                + "start the same command again.", exception);
        }
    }

    // An uncompressed bitmap of one grey: 64 × 64, 24 bits.
    private static byte[] GreyPicture()
    {
        const int Side = 64, Header = 54;
        var file = new byte[Header + (Side * Side * 3)];
        file.AsSpan(Header).Fill(128);
        (file[0], file[1], file[10], file[14], file[26], file[28]) = ((byte)'B', (byte)'M', Header, 40, 1, 24);
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(2), file.Length);
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(18), Side);
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(22), Side);
        return file;
    }
}
