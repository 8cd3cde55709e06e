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
            await DisposeAsync(); // xunit disposes no fixture that failed to start
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var process in _processes) await process.DisposeAsync();
    }

    /// <summary>Options of a gateway.</summary>
    public static (string Option, string Value)[] StagesAt(int vision, int resampler, int language) =>
        [("Stages__VisionEncoder", $"http://localhost:{vision}"), ("Stages__Resampler", $"http://localhost:{resampler}"), ("Stages__LanguageModel", $"http://localhost:{language}")];

    private HostProcess Start(string service, params (string Option, string Value)[] options)
    {
        var process = HostProcess.Start(service, FreePort.Next(), options);
        _processes.Add(process);
        return process;
    }
}

/// <summary>One after the other: they share the hosts, and some stop one for a moment.</summary>
[CollectionDefinition(nameof(StackTests), DisableParallelization = true)]
public sealed class StackTests : ICollectionFixture<Stack>;

/// <summary>Tests beside the shared hosts, with hosts of their own that end with the test; a failure shows what all of them wrote.</summary>
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

    /// <summary>A host of this test's own; it may not be ready yet.</summary>
    protected HostProcess Start(string service, int? port = null, (string Option, string Value)[]? options = null, params string[] arguments)
    {
        var process = HostProcess.Start(service, port ?? FreePort.Next(), options ?? [], arguments);
        _own.Add(process);
        return process;
    }

    /// <summary>The same in a folder of the test's choice.</summary>
    protected HostProcess StartIn(string folder, string service, (string Option, string Value)[] options, params string[] arguments)
    {
        var process = HostProcess.Start(folder, service, FreePort.Next(), options, arguments);
        _own.Add(process);
        return process;
    }

    /// <summary>A host of this test's own, of another build than the default one.</summary>
    protected HostProcess StartOf(string build, string service, (string Option, string Value)[] options)
    {
        var process = HostProcess.StartOf(build, null, service, FreePort.Next(), options);
        _own.Add(process);
        return process;
    }

    /// <summary>A host of this test's own that serves.</summary>
    protected async Task<HostProcess> StartReadyAsync(string service, int? port = null, params (string Option, string Value)[] options)
    {
        var process = Start(service, port, options);
        await process.ReadyAsync();
        return process;
    }

    /// <summary>A gateway of this test's own before the shared stages, or before others on given ports.</summary>
    protected Task<HostProcess> StartGatewayAsync(int? vision = null, int? resampler = null, int? language = null, params (string Option, string Value)[] options) =>
        StartReadyAsync("Gateway", null, [.. Stack.StagesAt(vision ?? shared.VisionEncoder.Port, resampler ?? shared.Resampler.Port, language ?? shared.LanguageModel.Port), .. options]);

    protected string NewFolder()
    {
        var folder = Directory.CreateTempSubdirectory("flamingo-hosts-").FullName;
        _folders.Add(folder);
        return folder;
    }
}
