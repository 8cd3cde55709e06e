using Flamingo.Checkpoints;

namespace Flamingo.Bench.Synthesis;

/// <summary>
/// A copy of a model directory without stop tokens, so that every answer has exactly the requested number of tokens and rates are
/// comparable.
/// </summary>
public static class EndlessModel
{
    /// <param name="path">The folder for flamingo.json and tokenizer.json; the weights are not copied.</param>
    public static ModelDirectory Create(ModelDirectory model, string path)
    {
        Directory.CreateDirectory(path);
        File.Copy(model.TokenizerPath, Path.Combine(path, ModelDirectory.TokenizerFile));
        ModelDirectory.WriteConfig(path, model.Config with
        {
            Tokens = model.Config.Tokens with { Stop = [] },
            Weights = model.Config.Weights.ToDictionary(part => part.Key,
                part => part.Value with { File = Path.GetFullPath(Path.Combine(model.Path, part.Value.File)) }),
        });
        return ModelDirectory.Open(path);
    }
}
