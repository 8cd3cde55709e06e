using Flamingo.Training.Data;
using Flamingo.Training.Loop;
using Flamingo.Training.Network;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Training.Tests.Loop;

public sealed class TextTeacherTests(Models models)
{
    [Theory]
    [InlineData("mpt7b")]
    [InlineData("llama")]
    public void With_descriptions_the_distance_falls(string family)
    {
        var task = new TrainingTask(models, family, examples: 8);
        task.Request = task.Request with
        {
            NewBridge = 1, Options = task.Request.Options with { Steps = 25, BatchTokens = 1000, LearningRate = 2e-2, TeacherWeight = 1 },
        };
        Assert.True(task.Run());
        var distances = task.Lines().Select(line => line.GetProperty("losses").GetProperty("text teacher").GetDouble()).ToArray();
        Assert.True(distances[^1] < distances[0] * 0.9, $"from {distances[0]:F3} to {distances[^1]:F3}");
    }

    [Fact]
    public void Without_descriptions_it_is_left_out()
    {
        double[] Losses(double teacher)
        {
            var task = new TrainingTask(models, described: false);
            task.Request = task.Request with { Options = task.Request.Options with { Steps = 4, TeacherWeight = teacher } };
            Assert.True(task.Run());
            return task.Losses();
        }

        Assert.Equal(Losses(0), Losses(1));
    }

    [Theory]
    [InlineData("mpt7b")]
    [InlineData("llama")]
    public void Its_gradient_is_the_same_where_layers_are_computed_again(string family)
    {
        using var scope = NewDisposeScope();
        var (model, sequences) = (models.DirectoryOf(family), Sequences(family));
        var batch = BatchPlan.Pad(sequences, 0);
        batch = batch with { Twin = new TextTwins(model.Config.Tokens, models.TokenizerOf(family)).Of(sequences, batch) };
        using var source = new FeatureSource(model, ScalarType.Float32, new FeatureOptions());
        using var features = source.Read([.. sequences.SelectMany(sequence => sequence.Pictures)]);
        var ((loss, distance), plain) = Gradients(recomputes: false, weight: 0.7);
        var ((otherLoss, otherDistance), recomputed) = Gradients(recomputes: true, weight: 0.7);
        Assert.Equal(loss, otherLoss);
        Assert.Equal(distance, otherDistance);
        Assert.InRange(distance, 0.01, 1000);
        Assert.All(plain, one => Assert.InRange((one.Value - recomputed[one.Key]).abs().max().item<float>(),
            0, 1e-5 * one.Value.abs().max().item<float>()));
        var (_, without) = Gradients(recomputes: false, weight: 0);
        var name = plain.Keys.Single(key => key.EndsWith("norm.weight", StringComparison.Ordinal) && key.Split('.').Length == 3);
        Assert.False(plain[name].equal(without[name]).all().item<bool>());

        ((double, double), Dictionary<string, Tensor>) Gradients(bool recomputes, double weight)
        {
            using var weights = new BridgeWeights(model, ScalarType.Float32);
            using var trainer = new BridgeTrainer(model.Config, weights, new AdamWOptions(), recomputes, weight);
            return (trainer.Backward(features, batch, 0.5), weights.Trained.ToDictionary(one => one.Key, one => one.Value.grad!.clone()));
        }
    }

    [Fact]
    public void A_twin_has_the_description_in_the_place_of_each_picture_and_the_same_answers()
    {
        var (model, tokenizer, sequences) = (models.DirectoryOf("mpt7b"), models.TokenizerOf("mpt7b"), Sequences("mpt7b"));
        var batch = BatchPlan.Pad(sequences, 0);
        var twin = new TextTwins(model.Config.Tokens, tokenizer).Of(sequences, batch)!;
        var texts = twin.Ids.Select(ids => tokenizer.Decode([.. ids], skipSpecial: false));
        Assert.All(texts.Zip(sequences), pair =>
            Assert.StartsWith($"[{pair.Second.Descriptions[0]}]Output:", pair.First, StringComparison.Ordinal));
        // The token after each place is the label.
        var places = batch.Places.ToList();
        Assert.Equal(places.Count, twin.Places.Length);
        Assert.Equal(places.Select(one => one.Label), twin.Places.Select(place =>
            (long)twin.Ids[place / twin.Ids[0].Length][(place % twin.Ids[0].Length) + 1]));
        Assert.Null(new TextTwins(model.Config.Tokens, tokenizer).Of(
            [sequences[0] with { Descriptions = [null] }, .. sequences.Skip(1)], batch));
    }

    private List<TrainingSequence> Sequences(string family)
    {
        var task = new TrainingTask(models, family, examples: 6);
        var (report, options) = (new DataReport(new DataOptions()), new DataOptions());
        return [.. new DataStream(task.Request.Data[0],
            new SequenceEncoder(models.DirectoryOf(family).Config, models.TokenizerOf(family), options), options, 1, report)
            .Read(0, TestContext.Current.CancellationToken).Take(6)];
    }
}
