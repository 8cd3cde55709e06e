using Flamingo.Checkpoints;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Embedded;

/// <summary>The default model, which holds a conversation in the words in which it answers questions.</summary>
internal static class ChatCheckpoint
{
    /// <param name="folder">An empty directory.</param>
    public static void Write(string folder)
    {
        var original = RepositoryFiles.Path("models", "shapes");
        foreach (var file in Directory.EnumerateFiles(original)) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        var config = ModelDirectory.Open(original).Config;
        ModelDirectory.WriteConfig(folder, config with { Prompts = config.Prompts! with { Chat = config.Prompts.Answer! with { ZeroShot = [] } } });
    }
}
