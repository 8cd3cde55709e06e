using Flamingo.Abstractions;
using Flamingo.Checkpoints;
using Flamingo.Gateway;
using Flamingo.LanguageModel.Execution;
using Flamingo.Modeling.Memory;
using Flamingo.Modeling.Weights;
using Flamingo.Resampler.Execution;
using Flamingo.Stages;
using Flamingo.Testing;
using Flamingo.VisionEncoder.Execution;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Flamingo.SystemTests.Embedded;

public sealed class MemoryRefusalTests
{
    [Theory(Timeout = 60_000)]
    [InlineData("float32", "native", " MiB), Model:WeightStorage to int8 (")]
    [InlineData("bfloat16", "native", " MiB; set Model:WeightStorage to int8 (")]
    [InlineData("bfloat16", "int8", "language model: weights ")]
    public async Task All_stages_of_a_process_are_refused_together_before_any_weight_is_read(string dtype, string storage, string remedy)
    {
        // Each stage by itself would fit: 2 GiB for keys and values, 0.5 GiB for pictures, 0.25 GiB for latents,
        // 0.3 GiB for support sets
        using var host = Build(new AvailableMemory(2600L << 20), dtype, storage);
        await host.StartAsync(TestContext.Current.CancellationToken);
        foreach (var first in new[] { typeof(IVisionEncoder), typeof(IResampler), typeof(ILanguageModel) })
        {
            var refused = Assert.Throws<CheckpointException>(() => host.Services.GetRequiredService(first));
            foreach (var part in new[] { "3.1 GiB are to be held, this process may use 2.5 GiB", remedy, "vision encoder: weights",
                "vision encoder: decoding 0.0 MiB; lower VisionEncoder:MaxPixels or VisionEncoder:MaxDecodes",
                "lower VisionEncoder:MaxQueuedFrames", "lower Resampler:MaxQueuedFrames",
                "resampler: weights", "lower LanguageModel:KvCacheBytes", "lower Gateway:MemoryCacheBytes" })
                Assert.Contains(part, refused.Message, StringComparison.Ordinal);
        }
    }

    [Fact(Timeout = 60_000)]
    public async Task The_same_process_starts_where_it_fits()
    {
        using var host = Build(new AvailableMemory(3300L << 20), "float32", "native");
        await host.StartAsync(TestContext.Current.CancellationToken);
        Assert.NotNull(host.Services.GetRequiredService<ILanguageModel>());
    }

    private static IHost Build(AvailableMemory available, string dtype, string storage)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Configuration.AddInMemoryCollection(
            [new("Model:Directory", RepositoryFiles.Path("models", "shapes")), new("Model:Dtype", dtype),
                new("Model:WeightStorage", storage), new("VisionEncoder:MaxPixels", "1000"), new("VisionEncoder:MaxDecodes", "2"),
                new("VisionEncoder:MaxQueuedFrames", "1"), new("Resampler:MaxQueuedFrames", "1")]);
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton(available).AddVisionEncoderStage().AddResamplerStage().AddLanguageModelStage().AddGatewayPipeline();
        return builder.Build();
    }
}
