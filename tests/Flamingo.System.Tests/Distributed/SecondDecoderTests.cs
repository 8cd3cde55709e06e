using Flamingo.Abstractions;
using Flamingo.Fixtures.Reference;
using Flamingo.Stages;
using Flamingo.Testing;
using Flamingo.Transport.Remote;

namespace Flamingo.SystemTests.Distributed;

/// <summary>
/// Compares a vision encoder that is built with -p:ImageDecoder=imagesharp with the default build, both as processes over gRPC. The
/// results are identical bit for bit for every format except JPEG.
/// </summary>
public sealed class SecondDecoderTests(Stack shared, ITestOutputHelper log) : HostTests(shared)
{
    /// <summary>Largest difference of a feature, relative to the largest absolute feature, for JPEG with full color resolution.</summary>
    private const double JpegTolerance = 0.005;

    /// <summary>
    /// The same for JPEG whose colour is stored at half the resolution (4:2:0), which ImageSharp enlarges without smoothing.
    /// </summary>
    private const double SubsampledJpegTolerance = 0.1;

    private static readonly Lazy<Task> Build = new(BuildAsync);

    private static readonly string[] FullResolution = ["jpeg-444.jpg", "jpeg-gray.jpg", "jpeg-cmyk.jpg"];

    private static string Inputs => RepositoryFiles.Path("tests", "reference", "preprocessing", "in");

    [Fact(Timeout = 600_000)]
    public async Task The_imagesharp_build_serves_the_same_features_but_for_JPEG()
    {
        var second = await StartSecondAsync([]);
        using var toFirst = StageChannel.Open(Shared.VisionEncoder.Address, new RemoteStageOptions(), TimeProvider.System);
        using var toSecond = StageChannel.Open(second.Address, new RemoteStageOptions(), TimeProvider.System);
        var names = Directory.GetFiles(Inputs).Select(file => Path.GetFileName(file)!).Order(StringComparer.Ordinal).ToList();
        Assert.Equal(28, names.Count);
        foreach (var name in names)
        {
            var file = await File.ReadAllBytesAsync(Path.Combine(Inputs, name), Cancellation);
            var (expected, actual) = (await FeaturesAsync(toFirst, file), await FeaturesAsync(toSecond, file));
            var error = ReferenceTensors.Error(expected.ToFloats(), actual.ToFloats());
            log.WriteLine($"{name}: {error:G3}");
            var tolerance = !name.EndsWith(".jpg", StringComparison.Ordinal) ? 0
                : FullResolution.Contains(name) ? JpegTolerance : SubsampledJpegTolerance;
            Assert.True(error <= tolerance, $"{name}: {error}");
        }
    }

    [Fact(Timeout = 600_000)]
    public async Task The_imagesharp_build_holds_the_originals_features_of_a_published_family()
    {
        var family = RepositoryFiles.Path("tests", "reference", "families", "mpt1b");
        var model = Path.Combine(NewFolder(), "mpt1b");
        string Part(string name) => Path.Combine(family, name);
        var source = new Import.OpenFlamingoSource(Part("vision"), Part("language"), Part("checkpoint.pt"), 1);
        Import.OpenFlamingoImport.Run(source, model, null, Cancellation);
        var second = await StartSecondAsync([("Model__Directory", model)]);
        using var channel = StageChannel.Open(second.Address, new RemoteStageOptions(), TimeProvider.System);
        var golden = ReferenceTensors.ReadRows(Part("golden.safetensors"), "features");
        var files = Directory.GetFiles(RepositoryFiles.Path("tests", "reference", "pictures")).Order(StringComparer.Ordinal).ToList();
        Assert.Equal(golden.Count, files.Count);
        foreach (var (file, expected) in files.Zip(golden))
        {
            var actual = await FeaturesAsync(channel, await File.ReadAllBytesAsync(file, Cancellation));
            var error = ReferenceTensors.Error(expected.ToFloats(), actual.ToFloats());
            log.WriteLine($"{Path.GetFileName(file)}: {error:G3}");
            // A grey level of resizing lies between these and the original's features, with either decoder.
            Assert.InRange(error, 0, 0.02);
        }
    }

    [Fact(Timeout = 600_000)]
    public async Task A_gateway_before_the_imagesharp_build_gives_the_same_answer_under_keys_of_its_own()
    {
        var second = await StartSecondAsync([]);
        var gateway = await StartGatewayAsync(vision: second.Port);
        var prompt = RepositoryFiles.Path("models", "shapes", "examples", "new-word.json");
        using var output = new StringWriter();
        using var error = new StringWriter();
        var code = await Cli.CommandLine.RunAsync(
            ["generate", "--server", gateway.Address, "--prompt", prompt], output, error, Cancellation);
        Assert.True(code == 0, error.ToString());
        Assert.Equal(" pilu", output.ToString().TrimEnd('\n'));

        // Latents made with one decoder are never served for the other, because the preprocessing version is part of the key.
        using var toFirst = StageChannel.Open(Shared.VisionEncoder.Address, new RemoteStageOptions(), TimeProvider.System);
        using var toSecond = StageChannel.Open(second.Address, new RemoteStageOptions(), TimeProvider.System);
        var (first, other) = (await DescribeAsync(toFirst), await DescribeAsync(toSecond));
        Assert.NotEqual(first.PreprocessingVersion, other.PreprocessingVersion);
        Assert.Contains("imagesharp", other.PreprocessingVersion, StringComparison.Ordinal);
        Assert.Equal(first.WeightsDigest, other.WeightsDigest);
    }

    private static async Task<VisionEncoderDescription> DescribeAsync(StageChannel channel) =>
        await new RemoteVisionEncoder(channel, new RemoteStageOptions().ConnectTimeout).DescribeAsync(Cancellation);

    private static async Task<TensorData> FeaturesAsync(StageChannel channel, byte[] file)
    {
        var request = new VisionEncodeRequest([VisualInput.Still(file)]);
        var encoder = new RemoteVisionEncoder(channel, new RemoteStageOptions().ConnectTimeout);
        return (await encoder.EncodeAsync(request, Cancellation)).Pictures.Single().Features;
    }

    private async Task<HostProcess> StartSecondAsync((string Option, string Value)[] options)
    {
        await Build.Value;
        var host = StartOf("imagesharp", "VisionEncoder", options);
        await host.ReadyAsync();
        return host;
    }

    // In CI the build is up to date and this only checks it; elsewhere the first test waits for it.
    private static async Task BuildAsync()
    {
        var configuration = new DirectoryInfo(AppContext.BaseDirectory).Name; // debug or release
        var host = RepositoryFiles.Path("services", "VisionEncoder", "Host");
        string[] build = ["build", "-v", "quiet", "-c", configuration, "-p:ImageDecoder=imagesharp", host];
        (await ProgramRun.RunAsync("dotnet", build, CancellationToken.None)).MustReturn(0);
    }
}
