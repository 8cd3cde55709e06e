using System.Text.Json;
using Flamingo.SystemTests.Compose;
using Flamingo.Testing;

namespace Flamingo.SystemTests.Gpu;

/// <summary>
/// Builds the Dockerfile's target for GPUs on a fake PyTorch image, whose libtorch has no CUDA. Each stage starts on the CPU, and for
/// cuda it reports what is missing.
/// </summary>
[Collection<ComposeCollection>]
public sealed class GpuImageTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact(Timeout = 900_000)]
    public async Task Every_stage_runs_over_the_libtorch_of_the_PyTorch_image()
    {
        ContainerEngine.Require();
        var (folder, name) = (Directory.CreateTempSubdirectory("flamingo-image-").FullName, $"flamingo-test-gpu-{Guid.NewGuid():N}");
        var containers = new List<string>();
        try
        {
            PyTorchFolder.Make(folder, copy: true);
            await File.WriteAllTextAsync(Path.Combine(folder, "python3"), "#!/bin/sh\necho /opt/site-packages/torch\n", Cancellation);
            await File.WriteAllTextAsync(
                Path.Combine(folder, "Dockerfile"),
                "FROM mcr.microsoft.com/dotnet/aspnet:10.0\nUSER root\n" +
                "COPY torch /opt/site-packages/torch\nCOPY --chmod=755 python3 /usr/local/bin/python3\n",
                Cancellation);
            await DockerCommand.RunAsync(Cancellation, "build", "--quiet", "--tag", $"{name}:pytorch", folder);
            await DockerCommand.RunAsync(
                Cancellation, "build", "--quiet", "--target", "gpu", "--build-arg", $"PyTorchImage={name}:pytorch",
                "--tag", $"{name}:gpu", RepositoryFiles.Root);
            (string, string)[] stages =
                [("vision-encoder", "VisionEncoder"), ("resampler", "Resampler"), ("language-model", "LanguageModel")];
            foreach (var (stage, host) in stages)
            {
                var container = await RunAsync($"{name}:gpu", stage, host, "cpu");
                await ComposeStack.EventuallyAsync($"the {stage} serves", async () =>
                {
                    try
                    {
                        var health = await DockerCommand.RunAsync(
                            Cancellation, "exec", container, "dotnet", $"Flamingo.{host}.Host.dll", "--health");
                        return health.Contains("Serving", StringComparison.Ordinal);
                    }
                    catch (InvalidOperationException exception) when (exception.Message.Contains("health check", StringComparison.Ordinal))
                    {
                        return false;
                    }
                }, Cancellation);
                Assert.Contains(
                    "/opt/site-packages/torch/lib/libtorch_cpu.so",
                    await DockerCommand.RunAsync(Cancellation, "exec", container, "cat", "/proc/1/maps"),
                    StringComparison.Ordinal);
                Assert.NotEqual("0", (await DockerCommand.RunAsync(Cancellation, "exec", container, "id", "-u")).Trim());
            }

            var refused = await RunAsync($"{name}:gpu", "language-model", "LanguageModel", "cuda");
            Assert.Equal("1", (await DockerCommand.RunAsync(Cancellation, "wait", refused)).Trim());
            Assert.Contains(
                "NVIDIA driver",
                await DockerCommand.RunAsync(["logs", refused], Cancellation, withError: true),
                StringComparison.Ordinal);
        }
        finally
        {
            if (containers.Count > 0) await DockerCommand.RunAsync(CancellationToken.None, ["rm", "--force", .. containers]);
            foreach (var tag in new[] { "gpu", "pytorch" })
                await DockerCommand.RunAsync(CancellationToken.None, "image", "rm", "--force", $"{name}:{tag}");
            Directory.Delete(folder, recursive: true);
        }

        async Task<string> RunAsync(string image, string stage, string host, string device)
        {
            var container = (await DockerCommand.RunAsync(
                Cancellation, "run", "--detach", "--read-only", "--tmpfs", "/tmp", "--workdir", $"/app/{stage}",
                "--env", $"Model__Device={device}", "--env", "Model__Threads=1", image, $"Flamingo.{host}.Host.dll")).Trim();
            containers.Add(container);
            return container;
        }
    }

    [Fact(Timeout = 60_000)]
    public async Task The_overlay_reserves_a_card_of_its_own_choice_for_each_stage_and_none_for_the_gateway()
    {
        ContainerEngine.Require();
        var environment = new Dictionary<string, string>
        {
            ["FLAMINGO_VISION_ENCODER_GPU"] = "3",
            ["FLAMINGO_LANGUAGE_MODEL_GPU"] = "1",
            ["FLAMINGO_MODEL"] = RepositoryFiles.Path("models", "shapes"),
        };
        using var json = JsonDocument.Parse(await DockerCommand.RunAsync(
            [
                "compose", "--file", RepositoryFiles.Path("docker-compose.yml"),
                "--file", RepositoryFiles.Path("docker-compose.gpu.yml"), "config", "--format", "json",
            ],
            Cancellation, environment));
        var services = json.RootElement.GetProperty("services");
        foreach (var (stage, card) in new[] { ("vision-encoder", "3"), ("resampler", "0"), ("language-model", "1") })
        {
            var service = services.GetProperty(stage);
            var device = service.GetProperty("deploy").GetProperty("resources").GetProperty("reservations").GetProperty("devices")[0];
            Assert.Equal(("nvidia", card), (device.GetProperty("driver").GetString(), device.GetProperty("device_ids")[0].GetString()));
            Assert.Equal("gpu", service.GetProperty("build").GetProperty("target").GetString());
            Assert.Equal($"/app/{stage}", service.GetProperty("working_dir").GetString());
            Assert.Equal(
                ("cuda", "/pytorch", "/model"),
                (Environment("Model__Device"), Environment("Model__TorchLibraries"), Environment("Model__Directory")));
            Assert.True(service.GetProperty("read_only").GetBoolean());

            string? Environment(string name) => service.GetProperty("environment").GetProperty(name).GetString();
        }

        foreach (var other in new[] { "gateway", "redis" }) Assert.False(services.GetProperty(other).TryGetProperty("deploy", out _));
    }
}
