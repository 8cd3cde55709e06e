using System.Text.Json;

namespace Flamingo.SystemTests.Compose;

/// <summary>The images do not run as root, have no writable files, and contain only files that a service needs.</summary>
public sealed class ImageTests(ComposeStack stack) : ComposeTest(stack)
{
    [Theory(Timeout = 120_000)]
    [InlineData("gateway"), InlineData("vision-encoder"), InlineData("resampler"), InlineData("language-model")]
    public async Task A_service_runs_healthy_without_root_and_without_a_writable_disk(string service)
    {
        foreach (var container in await Stack.ContainersAsync(service, Cancellation))
        {
            using var json = JsonDocument.Parse(await DockerCommand.RunAsync(Cancellation, "inspect", container));
            var inspected = json.RootElement[0];
            Assert.Equal("healthy", inspected.GetProperty("State").GetProperty("Health").GetProperty("Status").GetString());
            Assert.True(inspected.GetProperty("HostConfig").GetProperty("ReadonlyRootfs").GetBoolean());
            // a number, so that Kubernetes can tell that it is not root
            Assert.NotInRange(int.Parse(inspected.GetProperty("Config").GetProperty("User").GetString()!, null), 0, 0);
            Assert.NotEqual("0", (await ExecAsync(container, "id -u")).Trim());
            Assert.Equal("refused", (await ExecAsync(container, "touch /app/x 2>/dev/null && echo written || echo refused")).Trim());
        }
    }

    [Fact(Timeout = 120_000)]
    public async Task The_gateways_image_holds_no_tensor_library()
    {
        const string Search = "find / -xdev \\( -iname '*torch*' -o -iname '*skia*' -o -iname '*.safetensors' \\) 2>/dev/null; true";
        Assert.Empty(await ExecAsync((await Stack.ContainersAsync("gateway", Cancellation))[0], Search));
        // proves that the search finds the file
        Assert.Contains("libtorch_cpu.so", await ExecAsync((await Stack.ContainersAsync("resampler", Cancellation))[0], Search),
            StringComparison.Ordinal);
    }

    [Theory(Timeout = 120_000)]
    [InlineData("vision-encoder"), InlineData("resampler"), InlineData("language-model")]
    public async Task A_stages_natives_bring_what_the_base_image_lacks(string service)
    {
        var container = (await Stack.ContainersAsync(service, Cancellation))[0];
        var needs = await ExecAsync(container, "ldd /app/libLibTorchSharp.so /app/libtorch_cpu.so");
        Assert.DoesNotContain("not found", needs, StringComparison.Ordinal);
        // OpenMP comes with libtorch, because Microsoft's images do not contain it
        var openMp = needs.Split('\n').Where(line => line.Contains("libgomp", StringComparison.Ordinal)).ToList();
        Assert.NotEmpty(openMp);
        Assert.All(openMp, line => Assert.Contains("=> /app/libgomp", line, StringComparison.Ordinal));
    }

    private static Task<string> ExecAsync(string container,
        string script) => DockerCommand.RunAsync(Cancellation, "exec", container, "sh", "-c", script);
}
