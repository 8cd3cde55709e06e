using Flamingo.Fixtures;
using Flamingo.Testing;
using Xunit.Sdk;

namespace Flamingo.SystemTests.Distributed;

/// <summary>The four hosts, started once for all tests of this folder.</summary>
public sealed class Stack : IAsyncLifetime
{
    private readonly List<HostProcess> _processes = [];

    public HostProcess VisionEncoder { get; private set; } = null!;

    public HostProcess Resampler { get; private set; } = null!;

    public HostProcess LanguageModel { get; private set; } = null!;

    public HostProcess Gateway { get; private set; } = null!;

    public IReadOnlyList<HostProcess> All => _processes;

    public async ValueTask InitializeAsync()
    {
        try
        {
            VisionEncoder = Start("VisionEncoder");
            Resampler = Start("Resampler");
            LanguageModel = Start("LanguageModel");
            Gateway = Start("Gateway", StagesAt(VisionEncoder.Port, Resampler.Port, LanguageModel.Port));
            await Task.WhenAll(_processes.Select(process => process.ReadyAsync()));
        }
        catch
        {
            await DisposeAsync(); // xunit does not dispose a fixture that failed to start
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var process in _processes) await process.DisposeAsync();
    }

    /// <summary>The options of a gateway in front of the shared stages.</summary>
    public static (string Option, string Value)[] StagesAt(int vision, int resampler, int language) =>
        [("Stages__VisionEncoder", $"http://localhost:{vision}"), ("Stages__Resampler", $"http://localhost:{resampler}"),
            ("Stages__LanguageModel", $"http://localhost:{language}")];

    private HostProcess Start(string service, params (string Option, string Value)[] options)
    {
        var process = HostProcess.Start(service, FreePort.Next(), options);
        _processes.Add(process);
        return process;
    }
}

/// <summary>Tests in this collection run sequentially, because they share the hosts and some of them suspend one.</summary>
[CollectionDefinition(nameof(StackTests), DisableParallelization = true)]
public sealed class StackTests : ICollectionFixture<Stack>;

/// <summary>
/// Base class for tests that use the shared hosts and start their own ones, which end with the test. A failed test prints the output of
/// all hosts.
/// </summary>
[Collection(nameof(StackTests))]
public abstract class HostTests(Stack shared) : IAsyncLifetime
{
    private readonly List<HostProcess> _own = [];
    private readonly List<string> _folders = [];

    protected static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    protected Stack Shared => shared;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        if (TestContext.Current.TestState?.Result == TestResult.Failed)
            foreach (var process in _own.Concat(shared.All)) TestContext.Current.TestOutputHelper!.WriteLine(process.Report());
        foreach (var process in _own) await process.DisposeAsync();
        foreach (var folder in _folders) Directory.Delete(folder, recursive: true);
    }

    /// <summary>Starts a host for this test, without waiting until it is ready.</summary>
    protected HostProcess Start(string service, int? port = null, (string Option, string Value)[]? options = null,
        params string[] arguments)
    {
        var process = HostProcess.Start(service, port ?? FreePort.Next(), options ?? [], arguments);
        _own.Add(process);
        return process;
    }

    /// <summary>Starts a host for this test in a given folder.</summary>
    protected HostProcess StartIn(string folder, string service, (string Option, string Value)[] options, params string[] arguments)
    {
        var process = HostProcess.Start(folder, service, FreePort.Next(), options, arguments);
        _own.Add(process);
        return process;
    }

    /// <summary>Starts a host of another build for this test.</summary>
    protected HostProcess StartOf(string build, string service, (string Option, string Value)[] options)
    {
        var process = HostProcess.StartOf(build, null, service, FreePort.Next(), options);
        _own.Add(process);
        return process;
    }

    /// <summary>Starts a host for this test and waits until it is ready.</summary>
    protected async Task<HostProcess> StartReadyAsync(string service, int? port = null, params (string Option, string Value)[] options)
    {
        var process = Start(service, port, options);
        await process.ReadyAsync();
        return process;
    }

    /// <summary>Starts a gateway for this test in front of the shared stages, or of other stages on given ports.</summary>
    protected Task<HostProcess> StartGatewayAsync(int? vision = null, int? resampler = null, int? language = null,
        params (string Option, string Value)[] options) =>
        StartReadyAsync("Gateway", null,
            [.. Stack.StagesAt(vision ?? shared.VisionEncoder.Port, resampler ?? shared.Resampler.Port,
                language ?? shared.LanguageModel.Port), .. options]);

    protected string NewFolder()
    {
        var folder = Directory.CreateTempSubdirectory("flamingo-hosts-").FullName;
        _folders.Add(folder);
        return folder;
    }
}
