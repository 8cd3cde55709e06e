using Flamingo.Checkpoints;

namespace Flamingo.Testing;

/// <summary>The default model with a chat template that has the form of its question template.</summary>
public static class ChatCheckpoint
{
    /// <param name="folder">An empty directory.</param>
    public static void Write(string folder)
    {
        var original = RepositoryFiles.Path("models", "shapes");
        RepositoryFiles.Copy(original, folder);
        var config = ModelDirectory.Open(original).Config;
        ModelDirectory.WriteConfig(folder,
            config with { Prompts = config.Prompts! with { Chat = config.Prompts.Answer! with { ZeroShot = [] } } });
    }
}
