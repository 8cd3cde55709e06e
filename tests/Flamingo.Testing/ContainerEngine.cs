using Xunit;

namespace Flamingo.Testing;

/// <summary>Docker, where there is one. Without it container tests are skipped on a laptop and fail in CI.</summary>
public static class ContainerEngine
{
    public const string Socket = "/var/run/docker.sock";

    /// <summary>An engine that is there and then fails must not look like none.</summary>
    public static bool IsThere => File.Exists(Socket) || Environment.GetEnvironmentVariable("DOCKER_HOST") is not null;

    /// <summary>The first line of a test that needs containers.</summary>
    /// <exception cref="InvalidOperationException">CI without Docker.</exception>
    public static void Require()
    {
        if (IsThere) return;
        if (Environment.GetEnvironmentVariable("CI") == "true") throw new InvalidOperationException("CI needs Docker.");
        Assert.Skip("no Docker");
    }
}
