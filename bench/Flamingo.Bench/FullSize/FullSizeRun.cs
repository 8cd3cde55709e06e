using Flamingo.Bench.Machine;
using Flamingo.Bench.Measuring;
using Flamingo.Bench.Publications;
using Flamingo.Bench.Stacks;
using Flamingo.Bench.Synthesis;
using Flamingo.Checkpoints;
using Flamingo.Import;

namespace Flamingo.Bench.FullSize;

/// <summary>
/// Measures a full-size checkpoint with random weights. It writes the published files, imports them as bf16, answers prompts in that dtype
/// and with int8 weights, and deletes all files. Seconds and bytes are absolute and show what a machine of this size can run.
/// </summary>
public static class FullSizeRun
{
    private const int Shots = 4, Tokens = 24;
    private const long MostShardBytes = 9_950_000_000;
    private const double Gibibyte = 1L << 30;

    /// <param name="request">The run creates its geometry, and uses only the tokenizer of its model.</param>
    /// <param name="report">Called once per figure.</param>
    /// <exception cref="IOException">The disk has too little free space for the published files and the model together.</exception>
    public static async Task RunAsync(BenchRequest request, Func<Measurement, Task> report, TextWriter progress, TimeProvider time,
        CancellationToken cancellation, long mostShardBytes = MostShardBytes)
    {
        var geometry = request.Geometry ?? throw new ArgumentException("There is no geometry.", nameof(request));
        var folder = Directory.CreateTempSubdirectory("flamingo-full-size-").FullName;
        try
        {
            var model = await ImportAsync();
            await AskAsync(model, "native");
            await AskAsync(model, "int8");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        Task ReportAsync(string figure, double value, string unit,
            string against) =>
                report(new Measurement(figure, value,
                    unit, $"absolute: {against} ({geometry.Name}, {request.Threads} threads, seed {request.Seed})"));

        async Task<ModelDirectory> ImportAsync()
        {
            var (published, imported) = (Path.Combine(folder, "published"), Path.Combine(folder, $"{geometry.Name}-random-{request.Seed}"));
            var publication = Publication.Of(geometry, File.ReadAllText(ModelDirectory.Open(request.Model).TokenizerPath));
            Disk.Require(folder, publication.Bytes + (SyntheticTensor.Of(geometry).Sum(tensor => tensor.Elements) * sizeof(ushort)),
                "a publication with the model made of it", "Set TMPDIR or make room.");
            await progress.WriteLineAsync($"writing {geometry.Name} as published, {publication.Bytes / 1e9:0.00} GB …");
            publication.Write(published, request.Seed, mostShardBytes, new Tenths(progress, publication.Bytes).Add, cancellation);
            await ReportAsync("published_size", publication.Bytes / 1e9, "GB", "weight files of the publication");

            await progress.WriteLineAsync("importing …");
            Disk.Forget(published);
            // returns the memory that writing used to the system
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            using var memory = new PrivateMemory(time);
            var began = time.GetTimestamp();
            var model = publication.Import(published, imported, new Telling(progress), cancellation);
            await ReportAsync("import_time", time.GetElapsedTime(began).TotalSeconds, "s",
                "from the published files on disk to a model directory in bf16, digests and hashes included");
            await ReportAsync("import_private_memory", memory.Peak() / Gibibyte, "GiB", "the process's private memory at most meanwhile");
            Directory.Delete(published, recursive: true);
            return model;
        }

        async Task AskAsync(ModelDirectory model, string storage)
        {
            var settings = new Dictionary<string, string?>(StringComparer.OrdinalIgnoreCase) { ["Model:Dtype"] = "bfloat16" };
            foreach (var (key, value) in request.Settings) settings[key] = value;
            settings["Model:WeightStorage"] = storage;
            var endless = EndlessModel.Create(model, Path.Combine(folder, $"endless-{storage}"));
            Disk.Forget(model.Path);
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            await progress.WriteLineAsync($"loading with {storage} weights …");
            using var memory = new PrivateMemory(time);
            var began = time.GetTimestamp();
            await using var stack = await EmbeddedStack.LoadAsync(endless, request with { Settings = settings }, time, cancellation);
            var (loaded, loadMemory) = (time.GetElapsedTime(began).TotalSeconds, memory.PeakGrowth());
            await progress.WriteLineAsync($"asking with {Shots} shots …");
            var prompt = stack.Prompts.New(Shots, Tokens);
            var first = await stack.AskAsync(prompt, cancellation);
            var again = await stack.AskAsync(prompt, cancellation);
            var other = await stack.AskAsync(stack.Prompts.New(Shots, Tokens), cancellation);

            await ReportAsync($"weights_held_{storage}", stack.WeightBytes() / Gibibyte, "GiB",
                "weights of all stages as they are held; native ones in the files' own pages");
            await ReportAsync($"load_time_{storage}", loaded, "s",
                "from nothing to stages that take calls, files on disk and not in the page cache");
            await ReportAsync($"load_private_memory_{storage}", loadMemory / Gibibyte, "GiB", "peak growth of private memory meanwhile");
            await ReportAsync($"first_answer_from_disk_{storage}", loaded + (first.FirstToken / 1000),
                "s", $"from nothing to the first token of a prompt with {Shots} shots");
            await ReportAsync($"first_token_{storage}", other.FirstToken / 1000,
                "s", $"a prompt with {Shots} shots and {Shots + 1} new pictures, loaded");
            await ReportAsync($"first_token_again_{storage}", again.FirstToken / 1000, "s", "the same prompt again");
            await ReportAsync($"tokens_per_second_{storage}", (other.Tokens - 1) / ((other.Total - other.FirstToken) / 1000), "tokens/s",
                "one stream, behind its first token");
            await ReportAsync($"private_memory_{storage}", memory.PeakGrowth() / Gibibyte, "GiB",
                "peak growth of private memory from nothing to the last of three answers");
        }
    }

    // Progress<T> would report late, because it posts to other threads.
    private sealed class Telling(TextWriter progress) : IProgress<ImportProgress>
    {
        private Tenths? _tenths;

        public void Report(ImportProgress value) => (_tenths ??= new Tenths(progress, value.Total)).Reach(value.Done, value);
    }
}
