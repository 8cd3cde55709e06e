using System.Security.Cryptography;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Sending;

namespace Flamingo.Evaluation.Runs;

/// <summary>Progress of a run.</summary>
/// <param name="Done">Queries answered or failed, those of earlier starts included.</param>
/// <param name="Rate">Answers per second in this start.</param>
public readonly record struct RunProgress(int Done, int Total, int Failed, double Rate);

/// <summary>Asks everything that a plan has and that the log has no answer to.</summary>
public sealed class EvaluationRun(RequestSender sender, TimeProvider time)
{
    // So many failures of the first answers, and no success, mean that the request itself is wrong and not one of its pictures.
    private const int HopelessFailures = 20;

    /// <returns>An answer for each planned query in the plan's order; a failed one has its error.</returns>
    /// <exception cref="FlamingoException">Every query fails, or the caller may not ask.</exception>
    public async Task<IReadOnlyList<ItemAnswer>> AskAllAsync(
        IReadOnlyList<PlannedQuery> plan, QueryAsker asker, string benchmark, AnswerLog? log, Action<RunProgress> report,
        CancellationToken cancellation)
    {
        var answers = new ItemAnswer?[plan.Count];
        var open = new List<int>();
        foreach (var (place, planned) in plan.Index())
            if (log is null || !log.Answers.TryGetValue((benchmark, planned.Condition, planned.Query.Id), out answers[place]))
                open.Add(place);

        var (start, done, failed) = (time.GetTimestamp(), plan.Count - open.Count, 0);
        var before = done;
        await foreach (var sent in sender.SendAsync(open, (place, inner) => asker.AskAsync(plan[place], inner), cancellation))
        {
            var planned = plan[sent.Request];
            if (sent.Failure is { } failure)
            {
                failed++;
                if (failure.Kind is FlamingoErrorKind.Unauthenticated or FlamingoErrorKind.PermissionDenied
                    || (failed == done + 1 - before && failed == Math.Min(HopelessFailures, open.Count))) throw failure;
            }

            var answer = sent.Answer ?? new ItemAnswer(
                benchmark, planned.Query.Group, planned.Condition, planned.Query.Id, planned.ShotIds, "") { Error = Words(sent.Failure!) };
            answers[sent.Request] = answer;
            var spent = time.GetElapsedTime(start);
            log?.Add(answer, spent);
            done++;
            report(new RunProgress(done, plan.Count, failed, (done - before) / Math.Max(1e-3, spent.TotalSeconds)));
        }

        return [.. answers.Select(answer => answer!)];
    }

    /// <summary>What makes two runs the same: the model's weights and templates, the benchmark's content, and the options.</summary>
    public static IReadOnlyDictionary<string, string> Identity(Benchmark benchmark, RunOptions options, FlamingoModel model) =>
        new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["benchmark"] = benchmark.Name,
            ["content"] = Digest(benchmark),
            ["options"] = JsonSerializer.Serialize(options),
            ["vision"] = model.Vision.WeightsDigest,
            ["preprocessing"] = $"{model.Vision.PreprocessingVersion} {model.Vision.Orientation}",
            ["resampler"] = model.Resampler.WeightsDigest,
            ["language"] = model.Language.WeightsDigest,
            ["templates"] = JsonSerializer.Serialize(model.Language.Prompts),
        };

    // Paths are left out, so that a folder may move; names, questions and references count.
    private static string Digest(Benchmark benchmark)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var item in benchmark.Queries.Concat(benchmark.Examples)) Add(item);
        foreach (var label in benchmark.Labels) hash.AppendData(JsonSerializer.SerializeToUtf8Bytes(label));
        return Convert.ToHexStringLower(hash.GetHashAndReset())[..16];

        void Add(BenchmarkItem item)
        {
            hash.AppendData(JsonSerializer.SerializeToUtf8Bytes(new
            {
                item.Id, item.References, item.Question, item.Answer, item.Group, item.ShotCounts,
                Parts = item.Parts.Select(part => part is TextPart text ? text.Text : Path.GetFileName(((PicturePart)part).File)),
            }));
            foreach (var shot in item.Shots ?? []) Add(shot);
        }
    }

    private static string Words(FlamingoException failure) =>
        failure.Faults.Count > 0 ? string.Join(' ', failure.Faults) : failure.Message;
}
