using Flamingo.Abstractions;
using Flamingo.Bench.Measuring;
using Flamingo.Bench.Stacks;
using Flamingo.Bench.Synthesis;
using Flamingo.Checkpoints;
using Flamingo.Stages;
using Flamingo.Testing;

namespace Flamingo.Bench.Tests.Synthesis;

public sealed class SyntheticModelTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly ModelDirectory _shapes = ModelDirectory.Open(RepositoryFiles.Path("models", "shapes"));

    [Fact]
    public void The_3B_geometry_has_the_parameters_of_OpenFlamingo_3B()
    {
        var geometry = Geometry.OpenFlamingo3B;
        var language = SyntheticTensor.Language(geometry.Language).Sum(tensor => tensor.Elements);
        var all = SyntheticTensor.Of(geometry).Sum(tensor => tensor.Elements);
        Assert.Equal(2.19e9, language, 0.01e9);
        Assert.Equal(2.56e9, all, 0.01e9);
    }

    /// <summary>Billions of parameters, including the vision tower. The names of the publications contain them.</summary>
    [Theory]
    [InlineData("openflamingo-4b", 4.04)]
    [InlineData("openflamingo-9b", 8.13)]
    [InlineData("idefics-9b", 8.93)]
    public void The_larger_geometries_have_the_parameters_of_their_publications(string name, double billions)
    {
        var geometry = Geometry.All.Single(known => known.Name == name);
        var all = SyntheticTensor.Of(geometry).Sum(tensor => tensor.Elements);
        Assert.Equal(billions, all / 1e9, 0.05);
    }

    [Theory]
    [InlineData("openflamingo-4b"), InlineData("openflamingo-9b"), InlineData("idefics-9b")]
    public async Task Every_geometry_loads_strictly_and_answers(string name)
    {
        var model = SyntheticModel.OpenOrWrite(SmallGeometry.Of(Geometry.All.Single(known => known.Name == name)), _shapes,
            _folder.Below(name), 1, TextWriter.Null, TestContext.Current.CancellationToken);
        var request = new BenchRequest([], null, model.Path, Threads: 2, Seed: 1, Repetitions: 1);
        await using var stack = await EmbeddedStack.LoadAsync(EndlessModel.Create(model, _folder.Below($"{name}-endless")), request,
            TimeProvider.System, TestContext.Current.CancellationToken);
        Assert.Equal(8, (await stack.AskAsync(stack.Prompts.New(shots: 1, maxTokens: 8), TestContext.Current.CancellationToken)).Tokens);
    }

    [Fact]
    public async Task A_written_model_loads_strictly_and_answers_through_all_stages()
    {
        var model = Write("model", seed: 1);
        var request = new BenchRequest([], null, model.Path, Threads: 2, Seed: 1, Repetitions: 1);
        await using var stack = await EmbeddedStack.LoadAsync(EndlessModel.Create(model, _folder.Below("endless")), request,
            TimeProvider.System, TestContext.Current.CancellationToken);
        var picture = stack.Pictures.Next();
        var encoding = await stack.Stage<IVisionEncoder>()
            .EncodeAsync(new VisionEncodeRequest([VisualInput.Still(picture)], IncludePooled: true), TestContext.Current.CancellationToken);
        var resampling = await stack.Stage<IResampler>()
            .ResampleAsync(new ResampleRequest([encoding.Pictures[0].Features]), TestContext.Current.CancellationToken);
        Assert.Equal([1, 4, 32], encoding.Pictures[0].Features.Shape);
        Assert.All(encoding.Pictures[0].Features.ToFloats().Concat(encoding.Pictures[0].Pooled!.ToFloats())
            .Concat(resampling.Latents[0].ToFloats()), value => Assert.True(float.IsFinite(value)));

        // The log-likelihoods are finite and depend on the picture, because the gates are not zero.
        async Task<double> LikelihoodAsync(ReadOnlyMemory<byte> shown) =>
            (await stack.Flamingo.RankAsync(new FlamingoRankRequest([new FlamingoPicture(shown), new FlamingoText("This is a")], [" jano"]),
                TestContext.Current.CancellationToken)).Candidates[0].Sum;
        var (one, other) = (await LikelihoodAsync(picture), await LikelihoodAsync(stack.Pictures.Next()));
        Assert.True(double.IsFinite(one) && double.IsFinite(other) && one != other, $"{one} and {other}");

        // No answer ends early, because the model has no stop token.
        var answer = await stack.AskAsync(stack.Prompts.New(shots: 2, maxTokens: 40), TestContext.Current.CancellationToken);
        Assert.Equal(40, answer.Tokens);
    }

    [Fact]
    public void The_same_seed_makes_the_same_weights_and_another_seed_others()
    {
        var (one, again, other) = (Write("one", seed: 1), Write("again", seed: 1), Write("other", seed: 2));
        Assert.All(one.Config.Weights, part => Assert.Equal(part.Value.Digest, again.Config.Weights[part.Key].Digest));
        Assert.All(one.Config.Weights, part => Assert.NotEqual(part.Value.Digest, other.Config.Weights[part.Key].Digest));
        Assert.NotEqual(one.Config.Weights["vision"].Digest, one.Config.Weights["vision"].LatentDigest);
        Assert.Equal(one.Config.ModelId, again.Config.ModelId);
        Assert.NotEqual(one.Config.ModelId, other.Config.ModelId);
    }

    [Fact]
    public void Random_weights_have_the_deviation_that_is_said()
    {
        var bytes = new SyntheticValues(seed: 1).Fill(new SyntheticTensor("a", Filling.Random, 300, 1000));
        var values = new TensorData(TensorDtype.BFloat16, [300, 1000], bytes).ToFloats();
        Assert.Equal(0, values.Average(value => (double)value), 0.001);
        Assert.Equal(0.02, Math.Sqrt(values.Average(value => (double)value * value)), 0.001);
    }

    [Fact]
    public void What_is_there_is_used_again_and_never_overwritten()
    {
        var model = Write("model", seed: 1);
        var written = File.GetLastWriteTimeUtc(Path.Combine(model.Path, "language.safetensors"));
        Assert.Equal(model.Config.ModelId, Write("model", seed: 1).Config.ModelId);
        Assert.Equal(written, File.GetLastWriteTimeUtc(Path.Combine(model.Path, "language.safetensors")));
        Assert.Throws<CheckpointException>(() => Write("model", seed: 2));

        File.WriteAllText(Path.Combine(Directory.CreateDirectory(_folder.Below("letters")).FullName, "letter.txt"), "dear");
        Assert.Throws<CheckpointException>(() => Write("letters", seed: 1));
        Assert.True(File.Exists(Path.Combine(_folder.Below("letters"), "letter.txt")));
    }

    [Fact]
    public void A_cancelled_writing_leaves_nothing_behind()
    {
        Assert.ThrowsAny<OperationCanceledException>(
            () =>
                SyntheticModel.OpenOrWrite(SmallGeometry.Value, _shapes, _folder.Below("model"), 1, TextWriter.Null,
                    new CancellationToken(canceled: true)));
        Assert.Empty(Directory.GetFileSystemEntries(_folder.Path));
    }

    public void Dispose() => _folder.Dispose();

    private ModelDirectory Write(string name,
        int seed) =>
            SyntheticModel.OpenOrWrite(SmallGeometry.Value, _shapes, _folder.Below(name), seed, TextWriter.Null,
                TestContext.Current.CancellationToken);
}
