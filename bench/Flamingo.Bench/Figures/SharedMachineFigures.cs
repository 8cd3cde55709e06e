using System.Diagnostics;
using Flamingo.Bench.Measuring;

namespace Flamingo.Bench.Figures;

/// <summary>How the stages behave beside other work on the machine, and while they have none themselves.</summary>
public static class SharedMachineFigures
{
    public static IEnumerable<Figure> All => [Neighbour, .. Idleness];

    /// <summary>One stream in alternation with itself beside a thread that does nothing but count.</summary>
    private static Figure Neighbour =>
        new("decode_beside_busy_core", "ratio",
            "tokens per second of one stream beside a thread that keeps one processor busy over the same undisturbed",
            async (bench, cancellation) =>
    {
        var stack = await bench.EmbeddedAsync(cancellation);
        var prompt = stack.Prompts.New(shots: 0, bench.StreamTokens);
        Task<double> Rate() => DecodingFigures.RateAsync(bench.Time, stack, [prompt], cancellation);
        await Rate();
        var rates = await Interleaved.RunAsync(bench.Repetitions, async () =>
        {
            using var neighbour = new BusyThread();
            return await Rate();
        }, Rate);
        return rates.Ratio(rate => rate);
    });

    private static Figure[] Idleness =>
    [
        new("idle_processor_share", "share",
            "processor time of this process over the time that passes while all stages are loaded and nobody asks; 1 is one processor",
            async (bench, cancellation) => (await IdleAsync(bench, cancellation)).Share),
        new("first_token_after_idle_over_next", "ratio",
            "first token of a known prompt after an idle minute over that of the same prompt right behind",
            async (bench, cancellation) => (await IdleAsync(bench, cancellation)).Ratio),
    ];

    private static Task<(double Share, double Ratio)> IdleAsync(Workbench bench, CancellationToken cancellation) =>
        bench.OnceAsync("idleness", async () =>
    {
        var stack = await bench.EmbeddedAsync(cancellation);
        var prompt = stack.Prompts.New(shots: 0, maxTokens: 4);
        for (var round = 0; round < 3; round++) await stack.AskAsync(prompt, cancellation);
        var (shares, ratios) = (new List<double>(), new List<double>());
        for (var round = 0; round < bench.Repetitions; round++)
        {
            using var process = Process.GetCurrentProcess();
            var (used, began) = (process.TotalProcessorTime, bench.Time.GetTimestamp());
            await Task.Delay(bench.IdleTime, bench.Time, cancellation);
            process.Refresh();
            shares.Add((process.TotalProcessorTime - used) / bench.Time.GetElapsedTime(began));
            var first = await stack.AskAsync(prompt, cancellation);
            ratios.Add(first.FirstToken / (await stack.AskAsync(prompt, cancellation)).FirstToken);
        }

        return (Median.Of(shares), Median.Of(ratios));
    });

    /// <summary>A thread that keeps one processor busy until it is disposed.</summary>
    private sealed class BusyThread : IDisposable
    {
        private readonly Thread _thread;
        private volatile bool _ends;

        public BusyThread()
        {
            _thread = new Thread(() =>
            {
                while (!_ends)
                {
                }
            }) { IsBackground = true, Name = "busy" };
            _thread.Start();
        }

        public void Dispose()
        {
            _ends = true;
            _thread.Join();
        }
    }
}
