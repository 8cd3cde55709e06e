using System.Text.Json;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Compose;

/// <summary>Tests how docker-compose.yml uses FLAMINGO_MODEL, without starting containers.</summary>
public sealed class ModelMountTests
{
    [Theory(Timeout = 60_000)]
    [InlineData("models/shapes"), InlineData("./models/shapes"), InlineData(null)]
    public async Task A_models_folder_is_a_folder_with_and_without_a_dot_before_it(string? model)
    {
        ContainerEngine.Require();
        var environment = model is null ? [] : new Dictionary<string, string> { ["FLAMINGO_MODEL"] = model };
        string[] config = ["compose", "-f", RepositoryFiles.Path("docker-compose.yml"), "config", "--format", "json"];
        using var json = JsonDocument.Parse(await DockerCommand.RunAsync(config, TestContext.Current.CancellationToken, environment));
        var services = json.RootElement.GetProperty("services");
        foreach (var service in new[] { "vision-encoder", "resampler", "language-model" })
        {
            var mount = Assert.Single(services.GetProperty(service).GetProperty("volumes").EnumerateArray());
            Assert.Equal("bind", mount.GetProperty("type").GetString());
            Assert.Equal(RepositoryFiles.Path("models", "shapes"), mount.GetProperty("source").GetString());
            Assert.True(mount.GetProperty("read_only").GetBoolean());
        }
    }
}
