using Xunit;

namespace Flamingo.Testing;

/// <summary>The Docker engine. If there is none, container tests are skipped on a developer's machine and fail in CI.</summary>
public static class ContainerEngine
{
    public const string Socket = "/var/run/docker.sock";

    /// <summary>
    /// Whether an engine is configured. The check does not connect to it, so that a failing engine does not look like a missing one.
    /// </summary>
    public static bool IsThere => File.Exists(Socket) || Environment.GetEnvironmentVariable("DOCKER_HOST") is not null;

    /// <summary>Skips a test without Docker. A test that needs containers calls it first.</summary>
    /// <exception cref="InvalidOperationException">The test runs in CI, and there is no Docker.</exception>
    public static void Require()
    {
        if (IsThere) return;
        if (Environment.GetEnvironmentVariable("CI") == "true") throw new InvalidOperationException("CI needs Docker.");
        Assert.Skip("no Docker");
    }
}
