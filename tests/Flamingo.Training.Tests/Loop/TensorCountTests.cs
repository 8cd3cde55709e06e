using Flamingo.Training.Data;
using Flamingo.Training.Loop;
using Flamingo.Training.Network;
using static TorchSharp.torch;

namespace Flamingo.Training.Tests.Loop;

/// <summary>Counts the tensors of the process, so nothing else may run meanwhile.</summary>
[Collection(AloneCollection.Name)]
public sealed class TensorCountTests(Models models)
{
    [Fact]
    public void A_run_leaves_no_tensors_behind()
    {
        var task = new TrainingTask(models);
        var model = task.Request.Model;
        using var source = new FeatureSource(model, ScalarType.Float32, new FeatureOptions());
        long Left(int? cancelAfter)
        {
            var before = Tensor.TotalCount;
            using (var weights = new BridgeWeights(model, ScalarType.Float32))
            using (var run = new TrainingRun(model.Config, weights, [TrainerTests.Stream(models, task, source)], source.Read,
                TrainerTests.Twins(models),
                task.Request.Options with { TeacherWeight = 0.5 }, TimeProvider.System))
            using (var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken))
                run.Run(new RunState(0, TimeSpan.Zero, [StreamPosition.Start], ""), (step, _) =>
                {
                    if (step.Step == cancelAfter) stop.Cancel();
                }, stop.Token);
            return Tensor.TotalCount - before;
        }

        // TorchSharp counts a parameter's first owner too, which gave its memory away. What tests before have left may go meanwhile.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var before = Tensor.TotalCount;
        using (new BridgeWeights(model, ScalarType.Float32))
        {
        }

        var owners = Tensor.TotalCount - before;
        Assert.InRange(Left(null), long.MinValue, owners);
        Assert.InRange(Left(3), long.MinValue, owners);
    }
}
