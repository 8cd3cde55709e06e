using Flamingo.Fixtures.Attacks;
using Flamingo.Testing;
using Microsoft.Playwright;

[assembly: AssemblyFixture(typeof(Flamingo.Browser.Tests.Driving.BrowserFixture))]

namespace Flamingo.Browser.Tests.Driving;

/// <summary>
/// Debian's Chromium, and one <c>flamingo serve</c> with the default model for all tests. Tests that clear the server's cache or fill its
/// places start a server of their own. Without Chromium, tests are skipped on a developer's machine and fail in CI.
/// </summary>
public sealed class BrowserFixture : IAsyncLifetime
{
    private const string Chromium = "/usr/bin/chromium";

    private IPlaywright? _playwright;
    private IBrowser? _browser;
    private AttackServer? _server;

    internal static bool IsCi => Environment.GetEnvironmentVariable("CI") == "true";

    /// <summary>The page of the server.</summary>
    public string Address => $"http://localhost:{Server.HttpPort}/";

    public AttackServer Server
    {
        get
        {
            Require();
            return _server!;
        }
    }

    /// <summary>Whether there is a browser.</summary>
    public bool IsThere => _browser is not null;

    /// <summary>The browser. A test that has none is skipped, or fails in CI.</summary>
    public IBrowser Require()
    {
        if (_browser is null && !IsCi) Assert.Skip("This test needs Debian's package chromium.");
        return _browser ?? throw new InvalidOperationException("CI needs Debian's package chromium.");
    }

    public async ValueTask InitializeAsync()
    {
        if (!File.Exists(Chromium)) return;
        Assertions.SetDefaultExpectTimeout(30_000);
        var server = ServeAsync(CancellationToken.None);
        _playwright = await Playwright.CreateAsync();
        _browser = await _playwright.Chromium.LaunchAsync(new() { ExecutablePath = Chromium, Args = ["--no-sandbox"] });
        _server = await server;
    }

    /// <summary>Starts a server with the default model. The caller disposes it.</summary>
    public static Task<AttackServer> ServeAsync(CancellationToken cancellation, params (string Option, string Value)[] options) =>
        AttackServer.StartAsync(RepositoryFiles.Path("models", "shapes"), options, cancellation);

    public async ValueTask DisposeAsync()
    {
        if (_browser is not null) await _browser.DisposeAsync();
        _playwright?.Dispose();
        if (_server is not null) await _server.DisposeAsync();
    }
}
