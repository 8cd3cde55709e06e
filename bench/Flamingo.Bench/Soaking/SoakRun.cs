using Flamingo.Bench.Measuring;
using Flamingo.Bench.Stacks;
using Flamingo.LanguageModel.Execution;

namespace Flamingo.Bench.Soaking;

/// <summary>
/// Runs twice the admitted load for some time: twice as many callers as the language model runs and queues, each in a closed loop.
/// After the first tenth all caches are full and the callers pause. The resources that the idle process holds then are the limit for the
/// resources that it may hold at the end.
/// </summary>
public static class SoakRun
{
    private static readonly TimeSpan SlowestSampling = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan LongestEnding = TimeSpan.FromMinutes(5);

    /// <summary>
    /// Cache sizes that models/shapes fills within seconds, and limits that both the language model and the gateway reach. The settings of
    /// a request override them.
    /// </summary>
    public static IReadOnlyDictionary<string, string?> Defaults { get; } = new Dictionary<string, string?>
    {
        ["LanguageModel:MaxSequences"] = "16",
        ["LanguageModel:MaxQueued"] = "8",
        ["LanguageModel:KvCacheBytes"] = $"{32 << 20}",
        ["LanguageModel:PictureMemoryBytes"] = $"{64 << 20}",
        ["Gateway:MemoryCacheBytes"] = $"{4 << 20}",
        ["Gateway:MaxConcurrentRequests"] = "28",
        ["Gateway:MaxQueuedRequests"] = "4",
    };

    /// <param name="request">The model and its settings; figures and repetitions are ignored.</param>
    /// <param name="progress">Receives a line every few seconds for the user.</param>
    /// <exception cref="TimeoutException">Calls or the work of the engine do not end.</exception>
    public static async Task<SoakReport> RunAsync(BenchRequest request, TimeSpan length, TextWriter progress, TimeProvider time,
        CancellationToken cancellation)
    {
        var settings = Defaults.Where(setting => !request.Settings.Keys.Contains(setting.Key, StringComparer.OrdinalIgnoreCase))
            .Concat(request.Settings).ToDictionary();
        await using var bench = new Workbench(request with { Settings = settings }, progress, time);
        var stack = await bench.EmbeddedAsync(cancellation);
        var limits = stack.Options<LanguageModelOptions>();
        var ledger = new SoakLedger();
        ReadOnlyMemory<byte>[] known = [.. Enumerable.Range(0, 8).Select(_ => stack.Pictures.Next())];
        SoakCaller[] callers = [.. Enumerable.Range(0, 2 * (limits.MaxSequences + limits.MaxQueued))
            .Select(number => new SoakCaller(number, stack.Flamingo, Calls(number), ledger, time))];
        var where = $"{stack.Directory.Config.ModelId}, {request.Threads} threads, {callers.Length} callers, {limits.MaxSequences} "
            + $"sequences, {limits.MaxQueued} waiting, {length.TotalMinutes:0.##} minutes";
        await progress.WriteLineAsync($"soak: {where}, seed {request.Seed}");

        var each = Calls(callers.Length);
        for (var kind = 0; kind < SoakCalls.Kinds; kind++) await callers[0].CallAsync(each.Make(kind), cancellation);
        await PhaseAsync(length / 10);
        var warm = await SoakSample.TakeIdleAsync(stack, time, cancellation);
        await progress.WriteLineAsync($"idle after the first tenth: {warm}");
        await PhaseAsync(length * 0.9);
        var end = await SoakSample.TakeIdleAsync(stack, time, cancellation);
        await progress.WriteLineAsync($"idle at the end: {end}; {ledger}");
        return SoakReport.Of(warm, end, ledger, where);

        SoakCalls Calls(int number) => new(
            known, new NoisePictures(stack.Model.Vision.ImageSize, SeedOf(number)), stack.Model.Language.EndOfChunkToken,
            stack.Model.Language.ImageToken, bench.StreamTokens, time, SeedOf(number));

        int SeedOf(int number) => unchecked((request.Seed * 1_000_003) + number + 1); // all callers and the stack have different pictures

        async Task PhaseAsync(TimeSpan phase)
        {
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            var calling = Task.WhenAll(callers.Select(caller => Task.Run(() => caller.RunAsync(phase, stop.Token), stop.Token)));
            try
            {
                await WatchAsync(stack, ledger, calling, phase, progress, time, cancellation);
                await calling;
            }
            finally
            {
                await stop.CancelAsync(); // callers must end before the stack is disposed
                await calling.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously,
                    TaskScheduler.Default);
            }
        }
    }

    private static async Task WatchAsync(EmbeddedStack stack, SoakLedger ledger, Task calling, TimeSpan phase, TextWriter progress,
        TimeProvider time, CancellationToken cancellation)
    {
        var started = time.GetTimestamp();
        using var timer = new PeriodicTimer(phase < SlowestSampling * 10 ? phase / 10 : SlowestSampling, time);
        while (!calling.IsCompleted)
        {
            var tick = timer.WaitForNextTickAsync(cancellation).AsTask();
            if (await Task.WhenAny(calling, tick) == calling) break;
            await tick;
            var elapsed = time.GetElapsedTime(started);
            await progress.WriteLineAsync($"{elapsed.TotalSeconds,6:0.0} s  {await SoakSample.TakeAsync(stack, cancellation)}; {ledger}");
            if (elapsed > phase + LongestEnding)
                throw new TimeoutException($"Calls have not ended {LongestEnding.TotalMinutes:0} minutes after the last one began: "
                    + $"{stack.Engine}.");
        }
    }
}
