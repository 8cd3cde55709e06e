namespace Flamingo.Gateway.Security.Tests;

/// <summary>What the log says of security at the start.</summary>
public sealed class StartTests
{
    [Fact(Timeout = 60_000)]
    public async Task A_start_tells_who_may_call_and_how_much()
    {
        await using var open = await SecuredServer.StartAsync(hasKeys: false);
        Assert.Contains(open.Logs, line => line.StartsWith("6305 Information Callers need no key. ", StringComparison.Ordinal));

        await using var server = await SecuredServer.StartAsync(options:
        [
            ("Limits:RequestsPerMinute", "60"), ("Limits:TokensPerMinute", "5000"), ("Security:CorsOrigins", "https://app.example.org"),
        ]);
        var line = Assert.Single(server.Logs, line => line.StartsWith("6305 ", StringComparison.Ordinal));
        Assert.Contains($"Callers need a key of {server.Keys.Path}.", line, StringComparison.Ordinal);
        Assert.Contains("60 requests, 0 pictures and 5000 tokens a minute, and 0 requests at once", line, StringComparison.Ordinal);
        Assert.Contains("https://app.example.org", line, StringComparison.Ordinal);
        TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
    }
}
