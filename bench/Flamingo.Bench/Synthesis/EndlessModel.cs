using Flamingo.Checkpoints;

namespace Flamingo.Bench.Synthesis;

/// <summary>A model directory as it is, but without stop tokens: every answer has exactly the tokens that were asked for, so that rates compare.</summary>
public static class EndlessModel
{
    /// <param name="path">Receives flamingo.json and tokenizer.json; the weights stay where they are.</param>
    public static ModelDirectory Create(ModelDirectory model, string path)
    {
        Directory.CreateDirectory(path);
        File.Copy(model.TokenizerPath, Path.Combine(path, ModelDirectory.TokenizerFile));
        ModelDirectory.WriteConfig(path, model.Config with
        {
            Tokens = model.Config.Tokens with { Stop = [] },
            Weights = model.Config.Weights.ToDictionary(part => part.Key, part => part.Value with { File = Path.GetFullPath(Path.Combine(model.Path, part.Value.File)) }),
        });
        return ModelDirectory.Open(path);
    }
}
