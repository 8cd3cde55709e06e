using Flamingo.Testing;

namespace Flamingo.SystemTests.Distributed;

/// <summary>A host with wrong options ends with exit code 1 and reports all errors together.</summary>
public sealed class StartTests(Stack shared) : HostTests(shared)
{
    [Fact(Timeout = 120_000)]
    public async Task Nonsense_options_are_all_named_at_once()
    {
        (string, string)[] endpoints =
            [("Endpoints__GrpcPort", "70000"), ("Endpoints__Listen", "moon"), ("Endpoints__DrainTimeout", "1.00:00:00")];
        (string, string)[] model = [("Model__Device", "toaster"), ("Model__Threads", "-3")];
        var vision = Start("VisionEncoder", null,
            [.. endpoints, .. model, ("VisionEncoder__MaxPixels", "0"), ("VisionEncoder__BatchSize", "1000")]);
        var resampler = Start("Resampler", null, [.. endpoints, .. model, ("Resampler__MaxItems", "-1")]);
        var language = Start("LanguageModel", null,
            [.. endpoints, .. model, ("LanguageModel__MaxQueued", "-1"), ("LanguageModel__MaxCandidates", "0")]);
        var gateway = Start("Gateway", null,
            [.. endpoints, ("Stages__VisionEncoder", "vision"), ("Stages__DnsRefresh", "00:00:00"), ("Gateway__MaxConcurrentRequests", "0"),
                ("Redis__LookupBudget", "01:00:00")]);

        await RefusedAsync(vision, "GrpcPort", "Listen", "DrainTimeout", "Device", "Threads", "MaxPixels", "BatchSize");
        await RefusedAsync(resampler, "GrpcPort", "Listen", "DrainTimeout", "Device", "Threads", "MaxItems");
        await RefusedAsync(language, "GrpcPort", "Listen", "DrainTimeout", "Device", "Threads", "MaxQueued", "MaxCandidates");
        await RefusedAsync(gateway, "GrpcPort", "Listen", "DrainTimeout", "VisionEncoder", "DnsRefresh", "MaxConcurrentRequests",
            "LookupBudget");
    }

    [Fact(Timeout = 120_000)]
    public async Task Values_that_do_not_parse_are_a_report_too()
    {
        var port = Start("Gateway", null, [("Endpoints__GrpcPort", "many")]);
        var limit = Start("Gateway", null, [.. Stack.StagesAt(1, 2, 3), ("Gateway__MemoryCacheBytes", "much")]);
        var probe = Start("Gateway", null, [("Endpoints__GrpcPort", "many")], "--health");
        await RefusedAsync(port, "Endpoints:GrpcPort", "many");
        await RefusedAsync(limit, "Gateway:MemoryCacheBytes", "much");
        await RefusedAsync(probe, "Endpoints:GrpcPort", "many");
    }

    [Fact(Timeout = 120_000)]
    public async Task A_damaged_model_directory_is_reported()
    {
        var (missing, truncated, exchanged, none) = (CopyModel(), CopyModel(), CopyModel(), NewFolder());
        File.Delete(Path.Combine(missing, "vision.safetensors"));
        using (var weights = File.Open(Path.Combine(truncated, "resampler.safetensors"), FileMode.Open)) weights.SetLength(
            weights.Length - 1000);
        File.WriteAllText(Path.Combine(exchanged, "tokenizer.json"), "{ \"model\": ");

        var vision = Start("VisionEncoder", null, [("Model__Directory", missing)]);
        var resampler = Start("Resampler", null, [("Model__Directory", truncated)]);
        var language = Start("LanguageModel", null, [("Model__Directory", exchanged)]);
        var empty = Start("LanguageModel", null, [("Model__Directory", none)]);
        await RefusedAsync(vision, Path.Combine(missing, "vision.safetensors"), "missing");
        await RefusedAsync(resampler, Path.Combine(truncated, "resampler.safetensors"), "incomplete");
        await RefusedAsync(language, Path.Combine(exchanged, "tokenizer.json"));
        await RefusedAsync(empty, none, "flamingo.json");
    }

    [Fact(Timeout = 60_000)]
    public async Task Options_come_from_the_program_the_current_directory_the_environment_and_arguments()
    {
        var folder = NewFolder();
        File.WriteAllText(Path.Combine(folder, "appsettings.json"), """
            {
              "Gateway": { "MemoryCacheBytes": "of the file", "MaxQueuedRequests": "of the file" },
              "Redis": { "LookupBudget": "of the file" }
            }
            """);
        // The addresses of the stages are valid in the program's settings file, which is not in this folder.
        (string, string)[] environment =
            [("Redis__LookupBudget", "of the environment"), ("Gateway__MaxQueuedRequests", "of the environment")];
        var gateway = StartIn(folder, "Gateway", environment, "--Gateway:MaxQueuedRequests=of the arguments");
        await RefusedAsync(
            gateway, "Gateway:MemoryCacheBytes is 'of the file'", "Redis:LookupBudget is 'of the environment'",
            "Gateway:MaxQueuedRequests is 'of the arguments'");
        Assert.Equal(4, gateway.Error.Split('\n').Length); // three errors and the line above them
    }

    [Fact(Timeout = 60_000)]
    public async Task A_port_in_use_is_reported() =>
        await RefusedAsync(Start("Gateway", Shared.Gateway.Port, Stack.StagesAt(1, 2, 3)), $"{Shared.Gateway.Port}");

    private static async Task RefusedAsync(HostProcess process, params string[] named)
    {
        Assert.True(await process.ExitAsync() == 1, process.Report());
        Assert.All(named, name => Assert.Contains(name, process.Error, StringComparison.Ordinal));
        var report = Assert.Single(process.Error.Split('\n'), line => !line.StartsWith(' '));
        Assert.Contains("does not start:", report, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", process.Error, StringComparison.Ordinal); // no stack trace
    }

    private string CopyModel()
    {
        var folder = NewFolder();
        RepositoryFiles.Copy(RepositoryFiles.Path("models", "shapes"), folder);
        return folder;
    }
}
