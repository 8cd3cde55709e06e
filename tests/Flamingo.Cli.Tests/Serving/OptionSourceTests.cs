using Flamingo.Cli.Tests.Running;
using Flamingo.Testing;

namespace Flamingo.Cli.Tests.Serving;

/// <summary>
/// Tests the precedence of option sources: arguments override the environment, the environment overrides appsettings.json in the current
/// directory, and the file overrides defaults.
/// </summary>
public sealed class OptionSourceTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("file"), InlineData("environment"), InlineData("argument"), InlineData("named option")]
    public async Task Serve_listens_where_the_strongest_source_says(string strongest)
    {
        string[] sources = ["file", "environment", "argument", "named option"];
        var ports = sources.ToDictionary(source => source, _ => RunningServer.FreePort());
        bool Given(string source) => Array.IndexOf(sources, source) <= Array.IndexOf(sources, strongest);
        _folder.Write("appsettings.json", $$"""{ "Endpoints": { "GrpcPort": {{ports["file"]}}, "Listen": "loopback" } }""");
        List<string> serve = ["serve"];
        if (Given("argument")) serve.Add($"--Endpoints:GrpcPort={ports["argument"]}");
        if (Given("named option")) serve.AddRange(["--grpc-port", $"{ports["named option"]}"]);
        (string, string)[] environment = Given("environment") ? [("Endpoints__GrpcPort", $"{ports["environment"]}")] : [];
        await using var serving = SpawnedCommand.Start(_folder.Path, environment, [.. serve]);
        var address = $"http://localhost:{ports[strongest]}";
        await serving.SaidAsync($"{address} ");
        (await FlamingoCommand.RunAsync("cache", "stats", "--server", address)).MustReturn(0);
        serving.CtrlC();
        Assert.Equal(0, await serving.ExitAsync());
    }

    [Fact]
    public async Task Serve_honours_model_redis_and_memory_of_the_environment_and_of_arguments()
    {
        RepositoryFiles.Copy(RepositoryFiles.Path("models", "shapes"), Directory.CreateDirectory(_folder.File("mine")).FullName);
        var (port, redis) = (RunningServer.FreePort(), RunningServer.FreePort());
        (string, string)[] environment =
        [
            ("Model__Directory", "mine"), ("LanguageModel__KvCacheBytes", "64MiB"),
            ("Redis__ConnectionString", $"localhost:{redis},password=geheim"), ("Redis__LookupBudget", "100ms"),
        ];
        await using var serving = SpawnedCommand.Start(
            _folder.Path, environment, "serve", "--grpc-port", $"{port}", "--Gateway:MemoryCacheBytes=3MiB", "--Model:Dtype", "bf16");
        await serving.SaidAsync($"mine is served on http://localhost:{port} ");
        await serving.SaidAsync($"Redis at localhost:{redis} does not answer"); // at the start, before the first request
        Assert.DoesNotContain("geheim", serving.Error, StringComparison.Ordinal);
        Assert.Contains("keys and values of 21840 tokens 64.0 MiB", serving.Error, StringComparison.Ordinal); // of two bytes each
        var stats = (await FlamingoCommand.RunAsync("cache", "stats", "--json", "--server", $"http://localhost:{port}")).MustReturn(0);
        Assert.Contains($"{3 << 20}", stats.Output, StringComparison.Ordinal);
        serving.CtrlC();
        Assert.Equal(0, await serving.ExitAsync());
    }

    [Theory]
    [InlineData("serve"), InlineData("generate", "--picture", "query.png", "Output:")]
    [InlineData("classify", "query.png", "--label", "a", "--label", "b")]
    public async Task Wrong_options_are_a_line_each_and_exit_code_2_whatever_the_command(params string[] command)
    {
        File.Copy(Examples.Prompt("caption-query.png"), _folder.File("query.png"));
        const string Settings = """
            { "LanguageModel": { "KvCacheBites": "2GiB" }, "Kestrel": { "Anything": 1 }, "Zoo": { "Flamingos": 12 } }
            """;
        _folder.Write("appsettings.json", Settings);
        (string, string)[] environment = [("Redis__LookupBudget", "5"), ("MODEL", "else"), ("GATEWAY_PORT", "tcp://10.0.0.1")];
        await using var wrong = SpawnedCommand.Start(_folder.Path, environment, [.. command, "--Model:Dtype=f16"]);
        Assert.Equal(2, await wrong.ExitAsync());
        Assert.Equal(3, wrong.Error.Trim().Split('\n').Length);
        string[] faults =
        [
            "Redis:LookupBudget is '5'. Give a duration from 1ms to 1min", "Model:Dtype is 'f16'. Give float32 (f32) or bfloat16 (bf16).",
            "LanguageModel:KvCacheBites is no option. Did you mean LanguageModel:KvCacheBytes?",
        ];
        Assert.All(faults, fault => Assert.Contains(fault, wrong.Error, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_settings_file_that_is_no_json_is_named_with_the_line()
    {
        var file = _folder.Write("appsettings.json", "{\n  \"Model\": { \"Threads\": 1 }\n  \"Redis\": {}\n}\n");
        await using var wrong = SpawnedCommand.Start(_folder.Path, [], "serve");
        Assert.Equal(2, await wrong.ExitAsync());
        Assert.Contains(file, Assert.Single(wrong.Error.Trim().Split('\n')), StringComparison.Ordinal);
        Assert.Contains("line 3", wrong.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--Gatway:… has no effect here", "generate", "--picture", "a.png", "--Gatway:MemoryCacheBytes=1GiB")]
    [InlineData("--Model:Threads has no value", "generate", "--picture", "a.png", "--Model:Threads")]
    [InlineData("has no effect on a server", "generate", "--picture", "a.png", "--Model:Threads=1", "--server", "http://localhost:1")]
    [InlineData("'--Model:Threads=1'", "inspect", "models/shapes", "--Model:Threads=1")]
    public async Task A_setting_that_nobody_reads_is_refused(string named, params string[] args)
    {
        if (args[0] == "generate") args[2] = Examples.Prompt("caption-query.png");
        var refused = (await FlamingoCommand.RunAsync(args)).MustReturn(2);
        Assert.Contains(named, refused.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_connection_string_that_the_redis_client_does_not_understand_is_refused_without_being_shown()
    {
        var refused = (await FlamingoCommand.RunAsync("serve", "--redis", "localhost:1,password=geheim,colour=blue")).MustReturn(2);
        Assert.Contains("Redis:ConnectionString", refused.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("geheim", refused.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("bf16"), InlineData("bfloat16"), InlineData("f16"), InlineData("float16"), InlineData("f32"), InlineData("float32")]
    public void Import_takes_dtypes_by_both_names(string dtype) =>
        Assert.Empty(CommandLine.Root().Parse(
            ["import", "--layout", "idefics", "--source", AppContext.BaseDirectory, "--output", "x", "--dtype", dtype]).Errors);
}
