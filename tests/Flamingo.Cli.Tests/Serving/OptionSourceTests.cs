using System.Reflection;
using System.Text.Json;
using System.Text.RegularExpressions;
using Flamingo.Cli.Tests.Running;
using Flamingo.Testing;

namespace Flamingo.Cli.Tests.Serving;

/// <summary>Defaults &lt; appsettings.json in the current directory &lt; environment &lt; arguments.</summary>
public sealed partial class OptionSourceTests : IDisposable
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
        await using var serving = SpawnedCommand.Start(
            _folder.Path, Given("environment") ? [("Endpoints__GrpcPort", $"{ports["environment"]}")] : [],
            ["serve", .. Given("argument") ? [$"--Endpoints:GrpcPort={ports["argument"]}"] : Array.Empty<string>(), .. Given("named option") ? ["--grpc-port", $"{ports["named option"]}"] : Array.Empty<string>()]);
        await serving.SaidAsync($"http://localhost:{ports[strongest]} ");
        using var described = JsonDocument.Parse((await FlamingoCommand.RunAsync("cache", "stats", "--json", "--server", $"http://localhost:{ports[strongest]}")).MustReturn(0).Output);
        serving.CtrlC();
        Assert.Equal(0, await serving.ExitAsync());
    }

    [Fact]
    public async Task Serve_honours_model_redis_and_memory_of_the_environment_and_of_arguments()
    {
        RepositoryFiles.Copy(RepositoryFiles.Path("models", "shapes"), Directory.CreateDirectory(_folder.File("mine")).FullName);
        var (port, redis) = (RunningServer.FreePort(), RunningServer.FreePort());
        await using var serving = SpawnedCommand.Start(
            _folder.Path, [("Model__Directory", "mine"), ("Redis__ConnectionString", $"localhost:{redis},password=geheim"), ("Redis__LookupBudget", "100ms"), ("LanguageModel__KvCacheBytes", "64MiB")],
            "serve", "--grpc-port", $"{port}", "--Gateway:MemoryCacheBytes=3MiB", "--Model:Dtype", "bf16");
        await serving.SaidAsync($"mine is served on http://localhost:{port} ");
        await serving.SaidAsync($"Redis at localhost:{redis} does not answer"); // at start, before anybody asks
        Assert.DoesNotContain("geheim", serving.Error, StringComparison.Ordinal);
        Assert.Contains("keys and values of 10920 tokens 64.0 MiB", serving.Error, StringComparison.Ordinal);
        using var stats = JsonDocument.Parse((await FlamingoCommand.RunAsync("cache", "stats", "--json", "--server", $"http://localhost:{port}")).MustReturn(0).Output);
        Assert.Contains($"{3 << 20}", stats.RootElement.GetRawText(), StringComparison.Ordinal);
        serving.CtrlC();
        Assert.Equal(0, await serving.ExitAsync());
    }

    [Theory]
    [InlineData("serve"), InlineData("generate", "--picture", "query.png", "Output:"), InlineData("classify", "query.png", "--label", "a", "--label", "b")]
    public async Task Wrong_options_are_a_line_each_and_exit_code_2_whatever_the_command(params string[] command)
    {
        File.Copy(Examples.Prompt("caption-query.png"), _folder.File("query.png"));
        _folder.Write("appsettings.json", """{ "LanguageModel": { "KvCacheBites": "2GiB" }, "Kestrel": { "Anything": 1 }, "Zoo": { "Flamingos": 12 } }""");
        await using var wrong = SpawnedCommand.Start(_folder.Path, [("Redis__LookupBudget", "5"), ("MODEL", "else"), ("GATEWAY_PORT", "tcp://10.0.0.1")], [.. command, "--Model:Dtype=f16"]);
        Assert.Equal(2, await wrong.ExitAsync());
        Assert.Equal(3, wrong.Error.Trim().Split('\n').Length);
        Assert.Contains("Redis:LookupBudget is '5'. Give a duration from 1ms to 1min", wrong.Error, StringComparison.Ordinal);
        Assert.Contains("LanguageModel:KvCacheBites is no option. Did you mean LanguageModel:KvCacheBytes?", wrong.Error, StringComparison.Ordinal);
        Assert.Contains("Model:Dtype is 'f16'. Give float32 (f32) or bfloat16 (bf16).", wrong.Error, StringComparison.Ordinal);
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
    [InlineData("bf16"), InlineData("bfloat16"), InlineData("f16"), InlineData("float16"), InlineData("f32"), InlineData("float32"), InlineData("keep")]
    public void Import_takes_dtypes_by_both_names(string dtype) =>
        Assert.Empty(CommandLine.Root().Parse(["import", "--layout", "idefics", "--source", AppContext.BaseDirectory, "--output", "x", "--dtype", dtype]).Errors);

    [Fact]
    public void The_table_of_the_readme_names_every_option_and_no_other()
    {
        var documented = new List<string>();
        foreach (var row in File.ReadLines(RepositoryFiles.Path("README.md")).Where(line => TableRow().IsMatch(line)))
        {
            var names = Name().Matches(row.Split('|')[1]).Select(match => match.Groups[1].Value).ToList();
            documented.AddRange(names.Select(name => name.Contains(':') ? name : $"{names[0].Split(':')[0]}:{name}"));
        }

        var options = new[] { typeof(Flamingo.Modeling.ModelOptions), typeof(Transport.Remote.RemoteStageOptions), typeof(ServiceDefaults.EndpointOptions), typeof(Gateway.GatewayOptions), typeof(Resampler.Execution.ResamplerOptions), typeof(LanguageModel.Execution.LanguageModelOptions), typeof(VisionEncoder.Execution.VisionEncoderOptions) }
            .SelectMany(type => type.Assembly.GetTypes()).Where(type => type.GetField("Section", BindingFlags.Public | BindingFlags.Static) is { IsLiteral: true });
        var read = options.SelectMany(type => type.GetProperties().Select(property => $"{type.GetField("Section")!.GetRawConstantValue()}:{property.Name}"));
        Assert.Equal(read.Order(), documented.Order());
    }

    [GeneratedRegex(@"^\| `[A-Z]\w+:\w+`")]
    private static partial Regex TableRow();

    [GeneratedRegex("`([A-Za-z:]+)`")]
    private static partial Regex Name();
}
