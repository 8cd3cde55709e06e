using System.Globalization;
using System.Runtime.InteropServices;
using Flamingo.Abstractions;
using Flamingo.Client;
using Flamingo.SystemTests.Embedded;
using Flamingo.Testing;
using StackExchange.Redis;

namespace Flamingo.SystemTests.Compose;

/// <summary>
/// All tests share one stack and run sequentially, without other tests in parallel, because they stop and kill its parts.
/// </summary>
[CollectionDefinition(DisableParallelization = true)]
public sealed class ComposeCollection : ICollectionFixture<ComposeStack>;

/// <summary>
/// The stack of docker-compose.yml, built and started with two vision encoders and two language models under its own project name and
/// ports. It is always taken down, also after failures and signals.
/// </summary>
public sealed class ComposeStack : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);
    private readonly string _project = $"flamingo-test-{Guid.NewGuid():N}"[..22];
    private readonly DirectoryInfo _otherModel = Directory.CreateTempSubdirectory("flamingo-other-");
    private readonly Dictionary<string, string> _environment;
    private readonly List<PosixSignalRegistration> _signals = [];
    private Task? _down;

    public ComposeStack() => _environment = new()
    {
        ["FLAMINGO_MODEL"] = RepositoryFiles.Path("models", "shapes"),
        ["FLAMINGO_OTHER_MODEL"] = _otherModel.FullName,
        ["FLAMINGO_HTTP_PORT"] = "127.0.0.1:0",
        ["FLAMINGO_PORT"] = "127.0.0.1:0", // the engine selects a free port at every start
        ["FLAMINGO_THREADS"] = "1",
    };

    /// <summary>The model directory of <c>vision-encoder-other</c>.</summary>
    public string OtherModel => _otherModel.FullName;

    public async ValueTask InitializeAsync()
    {
        if (!ContainerEngine.IsThere) return; // each test reports the missing engine
        // A signal ends the process without disposing fixtures, but it waits for these handlers.
        foreach (var signal in new[] { PosixSignal.SIGTERM, PosixSignal.SIGINT, PosixSignal.SIGHUP })
            _signals.Add(PosixSignalRegistration.Create(signal, _ => TakenDown().GetAwaiter().GetResult()));
        OtherCheckpoint.Write(OtherModel);
        // the containers run as another user
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(OtherModel, (UnixFileMode)0b111_101_101);
        try
        {
            using var building = new CancellationTokenSource(TimeSpan.FromMinutes(15));
            await WithLogsAsync(() => UpAsync(building.Token, "--build"));
        }
        catch (InvalidOperationException)
        {
            await DisposeAsync(); // xunit does not dispose a fixture that failed to start
            throw;
        }
    }

    /// <summary>
    /// Takes the stack down. It does not use a test's cancellation token, because no container may remain. The images stay in the build
    /// cache of the engine.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        await TakenDown();
        foreach (var registration in _signals) registration.Dispose();
    }

    /// <summary>
    /// Starts the missing parts, so that there are two vision encoders, two language models, one container of each other service, and none
    /// with the other checkpoint.
    /// </summary>
    public Task RestoreAsync(CancellationToken cancellation) =>
        WithLogsAsync(() => EventuallyAsync("the whole stack is healthy", async () =>
    {
        try
        {
            await UpAsync(cancellation, "--no-build", "--no-recreate");
            return true;
        }
        catch (InvalidOperationException exception) when (exception.Message.Contains("is unhealthy", StringComparison.Ordinal))
        {
            return false; // A busy container can miss its health checks; the next check may succeed.
        }
    }, cancellation));

    public Task<string> ComposeAsync(CancellationToken cancellation, params IEnumerable<string> arguments) => DockerCommand.RunAsync(
        [
            "compose", "--ansi", "never", "--progress", "plain", "--project-name", _project,
            "--file", RepositoryFiles.Path("docker-compose.yml"), "--file",
            RepositoryFiles.Path("tests", "Flamingo.System.Tests", "Compose", "compose.tests.yml"),
            .. arguments,
        ], cancellation, _environment);

    /// <summary>The containers of a service: only running ones, or all.</summary>
    public async Task<IReadOnlyList<string>> ContainersAsync(string service, CancellationToken cancellation, bool all = false) =>
        (await ComposeAsync(cancellation, ["ps", "--quiet", .. all ? ["--all"] : Array.Empty<string>(), service])).Split('\n',
            StringSplitOptions.RemoveEmptyEntries);

    /// <summary>The number of calls of a method that a container has answered, from its request log.</summary>
    /// <param name="method">For example <c>flamingo.v1.VisionEncoder/Encode</c>.</param>
    public static async Task<int> ServedAsync(string container, string method, CancellationToken cancellation) =>
        (await DockerCommand.RunAsync(cancellation, "logs", container)).Split('\n')
            .Count(line =>
                line.Contains("Request finished", StringComparison.Ordinal) && line.Contains($"/{method} ", StringComparison.Ordinal));

    /// <summary>The gateway's address. It changes when the gateway is restarted.</summary>
    public async Task<string> AddressAsync(CancellationToken cancellation) =>
        $"http://{await PublishedAsync("gateway", 8080, cancellation)}";

    /// <summary>Waits until the gateway answers, and returns a client of it.</summary>
    public async Task<FlamingoClient> ConnectAsync(CancellationToken cancellation)
    {
        var client = new FlamingoClient(await AddressAsync(cancellation));
        await EventuallyAsync("the gateway answers", async () =>
        {
            try
            {
                await client.GetModelAsync(cancellation);
                return true;
            }
            catch (FlamingoException exception) when (exception.Kind == FlamingoErrorKind.Unavailable)
            {
                return false;
            }
        }, cancellation);
        return client;
    }

    public async Task RestartGatewayAsync(
        CancellationToken cancellation) => await ComposeAsync(cancellation, "restart", "--timeout", "10", "gateway");

    public async Task<ConnectionMultiplexer> RedisAsync(CancellationToken cancellation) =>
        await ConnectionMultiplexer.ConnectAsync(await PublishedAsync("redis", 6379, cancellation));

    /// <summary>Polls a condition for at most two minutes.</summary>
    /// <exception cref="TimeoutException">The condition did not become true.</exception>
    public static async Task EventuallyAsync(string what, Func<Task<bool>> happened, CancellationToken cancellation)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(Patience);
        using var turns = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        while (!await happened())
        {
            if (patience.IsCancellationRequested || !await turns.WaitForNextTickAsync(CancellationToken.None))
                throw new TimeoutException($"Waited in vain: {what}.");
        }
    }

    /// <summary>The last log lines of the containers, for the output of a failed test. Never throws.</summary>
    public async Task<string> LogsAsync(int lines = 60)
    {
        try
        {
            return await ComposeAsync(CancellationToken.None, "ps", "--all")
                + await ComposeAsync(CancellationToken.None, "logs", "--no-color", "--timestamps", "--tail",
                    lines.ToString(CultureInfo.InvariantCulture));
        }
        catch (InvalidOperationException exception)
        {
            return exception.Message;
        }
    }

    private Task TakenDown()
    {
        lock (_signals) return _down ??= DownAsync();
    }

    private async Task DownAsync()
    {
        if (ContainerEngine.IsThere)
            await ComposeAsync(CancellationToken.None, "down", "--volumes", "--remove-orphans", "--rmi", "local", "--timeout", "5");
        _otherModel.Delete(recursive: true);
    }

    private async Task WithLogsAsync(Func<Task> bringUp)
    {
        try
        {
            await bringUp();
        }
        catch (Exception exception) when (exception is InvalidOperationException or TimeoutException)
        {
            throw new InvalidOperationException($"The stack did not come up: {exception.Message}\n{await LogsAsync()}", exception);
        }
    }

    private Task<string> UpAsync(CancellationToken cancellation, params string[] how) => ComposeAsync(cancellation,
        ["up", .. how, "--wait", "--scale", "vision-encoder=2", "--scale", "language-model=2", "--scale", "vision-encoder-other=0"]);

    private async Task<string> PublishedAsync(string service, int port, CancellationToken cancellation) =>
        (await ComposeAsync(cancellation, "port", service, port.ToString(CultureInfo.InvariantCulture))).Trim();
}
