using Flamingo.Checkpoints;
using Flamingo.Import;
using Flamingo.Import.Sources;
using Flamingo.LanguageModel.Network;
using Flamingo.LanguageModel.Tests.Network.Attention;
using Flamingo.Modeling.Runtime;
using Flamingo.Modeling.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.LanguageModel.Tests.Network;

/// <summary>
/// Operations between the matrix products, at sizes where torch distributes them over threads. A row is bit for bit the same in a
/// batch of few rows and of many.
/// </summary>
public sealed class LayerBatchInvarianceTests : IDisposable
{
    private readonly InferenceThread _three = new(3); // three threads, so that shares are not multiples of a vector
    private readonly string _folder = Directory.CreateTempSubdirectory("flamingo-rows-").FullName;

    public void Dispose()
    {
        _three.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory(Timeout = 120_000)]
    [InlineData("gelu", 2752)]
    [InlineData("swiglu", 2752)]
    [InlineData("swiglu", 1001)]   // not a multiple of a vector
    [InlineData("gelu", 40_000)]   // a row that is computed by several threads
    public Task Feed_forward(string kind, int hidden) => SameInEveryBatch(
        new() { ["x.up.weight"] = [hidden, 64], ["x.down.weight"] = [64, hidden], ["x.gate.weight"] = [hidden, 64] }, 64, (weights, x) =>
        {
            using var network = new FeedForward(kind, weights, "x", 64, hidden);
            return network.Forward(x);
        }, TestContext.Current.CancellationToken);

    [Theory(Timeout = 120_000)]
    [InlineData("layer_norm")]
    [InlineData("rms_norm")]
    public Task Norms(string kind) => SameInEveryBatch(new() { ["x.weight"] = [1_100] }, 1_100, (weights, x) =>
    {
        using var norm = new Norm(kind, weights, "x", 1_100, 1e-5);
        return norm.Forward(x);
    }, TestContext.Current.CancellationToken);

    private Task SameInEveryBatch(
        Dictionary<string, long[]> shapes, int width, Func<WeightsReader, Tensor, Tensor> forward, CancellationToken cancellation)
    {
        var (path, random) = (Path.Combine(_folder, "weights.safetensors"), new Random(5));
        SafetensorsWriter.Write(
            path,
            shapes.ToDictionary(
                item => item.Key,
                item => new SourceTensor(item.Key, "F32", item.Value, () => Bytes(random, item.Value.Aggregate((a, b) => a * b)))),
            null, (_, _) => { }, [], CancellationToken.None);
        return _three.RunAsync(() =>
        {
            using var file = SafetensorsFile.Open(path);
            using var scope = NewDisposeScope();
            var rows = AttentionCase.Normal(random, 100, width);
            var batch = forward(new WeightsReader(file, CPU, ScalarType.Float32), rows);
            foreach (var count in new[] { 4, 8, 28, 44, 92 })
            {
                var some = forward(new WeightsReader(file, CPU, ScalarType.Float32), rows.slice(0, 100 - count, 100, 1).clone());
                Assert.True(AttentionCase.Same(batch.slice(0, 100 - count, 100, 1), some), $"{count} rows");
            }

            return true;
        }, cancellation);
    }

    private static byte[] Bytes(Random random, long count) =>
        [.. Enumerable.Range(0, (int)count).SelectMany(_ => BitConverter.GetBytes((float)(random.NextDouble() - 0.5)))];
}
