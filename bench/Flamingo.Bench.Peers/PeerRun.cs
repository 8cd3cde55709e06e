using Flamingo.Bench.Machine;
using Flamingo.Bench.Measuring;
using Flamingo.Bench.Peers.Gguf;
using Flamingo.Bench.Peers.Sides;
using Flamingo.Bench.Synthesis;
using Flamingo.Checkpoints;

namespace Flamingo.Bench.Peers;

/// <summary>
/// Measures our language model and llama.cpp in turn, with random weights of one geometry. Our step also reads the gated blocks, so both
/// are compared by matrix parameters used per second, not by tokens.
/// </summary>
public static class PeerRun
{
    // Decoding begins behind a prompt of this many tokens.
    private const int DecodedPrompt = 32;

    // Above this spread, (largest − smallest) / median of the turns, a figure says that it should be measured again.
    private const double LargestSpread = 0.15;

    /// <param name="report">Called once for each line of the report.</param>
    /// <exception cref="IOException">The disk has too little free space for the model and a GGUF file.</exception>
    public static async Task RunAsync(
        PeerRequest request, Func<PeerFigure, Task> report, TextWriter progress, TimeProvider time, CancellationToken cancellation)
    {
        var folder = Directory.CreateTempSubdirectory("flamingo-peers-").FullName;
        try
        {
            var (geometry, lender) = (request.Geometry, ModelDirectory.Open(request.Lender));
            var made = SyntheticModel.OpenOrWrite(
                geometry, lender, request.Keep ?? Path.Combine(folder, geometry.Name), request.Seed, progress, cancellation);
            var model = EndlessModel.Create(made, Path.Combine(folder, "endless"));
            foreach (var weights in request.Weights)
            {
                if (!weights.IsAvailable)
                {
                    await report(new PeerFigure(
                        $"ours_over_llama_cpp_decode_{weights.Name}", null, "ratio",
                        $"not available: this build does not hold weights as {weights.Storage}"));
                    continue;
                }

                var file = Path.Combine(folder, $"{weights.Name}.gguf");
                await new Comparison(request, weights, report, progress, time).RunAsync(model, file, cancellation);
                File.Delete(file);
                GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // One way to hold weights: both sides are loaded, warmed and measured in turn.
    private sealed class Comparison(
        PeerRequest request, PeerWeights weights, Func<PeerFigure, Task> report, TextWriter progress, TimeProvider time)
    {
        private readonly string _where = $"{request.Geometry.Name}, {request.Threads} threads, median of {request.Turns} turns";

        public async Task RunAsync(ModelDirectory model, string path, CancellationToken cancellation)
        {
            var theirs = GgufLanguage.Of(request.Geometry, weights.Type);
            var bytes = theirs.Tensors.Sum(tensor => tensor.Bytes);
            Disk.Require(Path.GetDirectoryName(path)!, bytes, "the GGUF file", "Set TMPDIR or make room.");
            await progress.WriteLineAsync($"{weights.Name}: writing a GGUF file of {bytes / 1e9:0.00} GB, {weights.Type} …");
            GgufFile.Write(path, theirs.Keys, theirs.Tensors, request.Seed, cancellation);
            await progress.WriteLineAsync($"{weights.Name}: loading both …");
            await using var own = await OwnStage.LoadAsync(model, weights.Storage, request.Threads, request.Seed, time, cancellation);
            using var peer = new LlamaCpp(path, request.Threads, request.PromptTokens + DecodedPrompt + request.Tokens + 64, time);

            var (parameters, held) = weights.OwnMatrices(request.Geometry);
            var ids = await own.IdsAsync(DecodedPrompt, cancellation);
            await progress.WriteLineAsync($"{weights.Name}: decoding {request.Tokens} tokens in turn …");
            var memory = new ReadBandwidth(request.Threads);
            var bandwidths = new List<double>();
            var decoding = await MeasureAsync(
                () => own.DecodeAsync(DecodedPrompt, request.Tokens, cancellation),
                () =>
                {
                    bandwidths.Add(memory.Measure(time));
                    return peer.Decode(ids, request.Tokens);
                }, cancellation);
            await ReportAsync(
                "decode", decoding, (parameters, held), (theirs.MatrixParameters, theirs.MatrixBytes), $"of {Read(bandwidths)} GB/s");

            if (weights.Name == "int4") return; // no goal is set for its prefill
            var prompt = await own.IdsAsync(request.PromptTokens, cancellation);
            await progress.WriteLineAsync($"{weights.Name}: prefill of {prompt.Count} tokens in turn …");
            var prefill = await MeasureAsync(
                () => own.PrefillAsync(request.PromptTokens, cancellation), () => peer.Prefill(prompt), cancellation);
            // Both compute the logits of the last token alone, so the output projection does not count.
            await ReportAsync(
                "prefill", prefill, (parameters - theirs.OutputParameters, 0), (theirs.MatrixParameters - theirs.OutputParameters, 0),
                $"a prompt of {prompt.Count} tokens");
        }

        private static string Read(List<double> bandwidths) => $"{bandwidths.Max():0.0}";

        private async Task<Paired<double>> MeasureAsync(Func<Task<double>> own, Func<double> peer, CancellationToken cancellation)
        {
            Task<double> Peer() => Task.Run(peer, cancellation);
            await own();
            await Peer();
            return await Interleaved.RunAsync(request.Turns, own, Peer);
        }

        // A step reads every parameter once, and computes two operations with it.
        private async Task ReportAsync(
            string what, Paired<double> rates, (long Parameters, long Bytes) own, (long Parameters, long Bytes) peer, string setup)
        {
            var factor = (double)own.Parameters / peer.Parameters;
            var spread = Spread(rates.First.Zip(rates.Second, (ours, theirs) => ours / theirs));
            var doubt = spread > LargestSpread ? "; the turns differ too much, so measure again on a quiet machine" : "";
            await report(new PeerFigure(
                $"ours_over_llama_cpp_{what}_{weights.Name}", factor * rates.Ratio(rate => rate), "ratio",
                $"matrix parameters used per second, ours over llama.cpp's ({weights.Type}); spread {spread:0.0%}{doubt} ({_where})"));
            await SideAsync("ours", rates.First, own);
            await SideAsync("llama_cpp", rates.Second, peer);

            async Task SideAsync(string side, IReadOnlyList<double> turns, (long Parameters, long Bytes) size)
            {
                var rate = Median.Of(turns);
                var name = $"{side}_{what}_{weights.Name}";
                await report(new PeerFigure(
                    $"{name}_tokens_per_second", rate, "tokens/s",
                    $"{size.Parameters / 1e9:0.000} billion matrix parameters for each token; spread {Spread(turns):0.0%} ({_where})"));
                await report(size.Bytes > 0
                    ? new PeerFigure(
                        $"{name}_read", rate * size.Bytes / 1e9, "GB/s",
                        $"{size.Bytes / 1e9:0.00} GB of matrices for each token, {setup} that this machine read meanwhile ({_where})")
                    : new PeerFigure(
                        $"{name}_computed", rate * 2 * size.Parameters / 1e9, "GFLOP/s",
                        $"two operations for each matrix parameter and token; {setup} ({_where})"));
            }
        }

        private static double Spread(IEnumerable<double> values)
        {
            var all = values.ToList();
            return (all.Max() - all.Min()) / Median.Of(all);
        }
    }
}
