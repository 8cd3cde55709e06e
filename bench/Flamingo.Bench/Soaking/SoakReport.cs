namespace Flamingo.Bench.Soaking;

/// <summary>The result of a soak test.</summary>
/// <param name="Faults">The reasons for a failure, one sentence each; empty if the test passed.</param>
public sealed record SoakReport(IReadOnlyList<Measurement> Measurements, IReadOnlyList<string> Faults)
{
    public static SoakReport Of(SoakSample warm, SoakSample end, SoakLedger ledger, string where)
    {
        var growth = end.LiveTensors - warm.LiveTensors;
        Measurement[] measurements =
        [
            new("soak_live_tensor_growth", growth, "count", $"idle at the end minus idle after the first tenth ({where})"),
            new("soak_memory_growth", (double)end.ResidentBytes / warm.ResidentBytes,
                "ratio", $"resident memory idle at the end over idle after the first tenth ({where})"),
            new("soak_refused_told_when", ledger.Refusals == 0 ? 0 : (double)ledger.RefusalsWithDelay / ledger.Refusals,
                "share", $"refusals with a retry delay over all refusals ({where})"),
            new("soak_answers", ledger.Answers, "count", $"absolute: complete answers ({where})"),
            new("soak_refusals", ledger.Refusals, "count", $"absolute: requests refused because of overload ({where})"),
            new("soak_unexpected_failures", ledger.Failures,
                "count", $"absolute: calls that were neither answered nor refused as expected ({where})"),
            new("soak_leased_at_end", end.Leased,
                "count", $"absolute: blocks and pictures that are leased after all calls have ended ({where})"),
        ];
        var faults = new List<string>();
        if (growth > 0) faults.Add($"Live tensors grew by {growth}.");
        if (end.Leased != 0) faults.Add($"{end.Leased} blocks or pictures are still leased after all calls have ended.");
        if (ledger.RefusalsWithDelay < ledger.Refusals)
            faults.Add($"{ledger.Refusals - ledger.RefusalsWithDelay} refusals had no retry delay.");
        if (ledger.Answers == 0 || ledger.Refusals == 0)
            faults.Add($"{ledger.Answers} answers and {ledger.Refusals} refusals do not make a soak test, which needs both. Lower "
                + "LanguageModel:MaxSequences and LanguageModel:MaxQueued, or soak longer.");
        if (ledger.Failures > 0) faults.AddRange([$"{ledger.Failures} calls failed, among them:", .. ledger.FirstFailures]);
        return new SoakReport(measurements, faults);
    }
}
