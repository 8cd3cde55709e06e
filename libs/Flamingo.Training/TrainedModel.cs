using Flamingo.Checkpoints;
using Flamingo.Training.Network;
namespace Flamingo.Training;
public static class TrainedModel { public static void Write(ModelDirectory model, BridgeWeights weights, string output, string settings, CancellationToken cancellation) { } }
