using System.Net;
using System.Net.Http.Headers;
using System.Text.RegularExpressions;
using Flamingo.Gateway.Doors.Tests.Ports;
using Flamingo.Testing;

namespace Flamingo.Gateway.Doors.Tests.Page;

/// <summary>How the page and its files are served. What the page does is tested in a browser by Flamingo.Browser.Tests.</summary>
public sealed partial class PlaygroundPageTests
{
    private static readonly string Folder = RepositoryFiles.Path("services", "Gateway", "Doors", "Page", "web");

    [Fact(Timeout = 60_000)]
    public async Task Every_file_of_the_page_has_its_type_and_forbids_every_other_host()
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        var paths = Directory.GetFiles(Folder).Select(Path.GetFileName).Where(name => name != "index.html").Select(name => $"/page/{name}")
            .Append("/page/examples/new-word-query.png").Append("/");
        foreach (var path in paths)
        {
            using var answer = await server.Http.GetAsync(path);
            Assert.Equal((path, HttpStatusCode.OK), (path, answer.StatusCode));
            Assert.Equal(Path.GetExtension(path) switch
            {
                ".css" => "text/css; charset=utf-8",
                ".js" => "text/javascript; charset=utf-8",
                ".svg" => "image/svg+xml",
                ".png" => "image/png",
                _ => "text/html; charset=utf-8",
            }, answer.Content.Headers.ContentType!.ToString());
            var policy = string.Join(",", answer.Headers.GetValues("Content-Security-Policy")).Split("; ");
            Assert.Contains("default-src 'none'", policy);
            Assert.Contains("connect-src 'self'", policy);
            Assert.Contains("frame-ancestors 'none'", policy);
            Assert.DoesNotContain(policy, rule => rule.Contains("unsafe", StringComparison.Ordinal)
                || rule.Contains("http", StringComparison.Ordinal) || rule.Contains('*', StringComparison.Ordinal));
            Assert.Equal("nosniff", string.Join(",", answer.Headers.GetValues("X-Content-Type-Options")));
            Assert.Equal("no-referrer", string.Join(",", answer.Headers.GetValues("Referrer-Policy")));
        }
    }

    [Fact(Timeout = 60_000)]
    public async Task A_browser_that_has_the_file_gets_it_again_only_if_it_changed()
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        using var first = await server.Http.GetAsync("/");
        Assert.True(first.Headers.CacheControl!.NoCache);
        var tag = first.Headers.ETag!;
        Assert.False(tag.IsWeak);
        using var again = await SendAsync(server, HttpMethod.Get, "/", tag);
        Assert.Equal(HttpStatusCode.NotModified, again.StatusCode);
        Assert.Empty(await again.Content.ReadAsByteArrayAsync());
        using var changed = await SendAsync(server, HttpMethod.Get, "/", new EntityTagHeaderValue("\"another\""));
        Assert.Equal(HttpStatusCode.OK, changed.StatusCode);
        using var other = await server.Http.GetAsync("/page/app.js");
        Assert.NotEqual(tag, other.Headers.ETag);

        using var head = await SendAsync(server, HttpMethod.Head, "/", null);
        Assert.Equal(HttpStatusCode.OK, head.StatusCode);
        Assert.Equal(tag, head.Headers.ETag);
        Assert.Equal((await first.Content.ReadAsByteArrayAsync()).Length, head.Content.Headers.ContentLength);
        Assert.Empty(await head.Content.ReadAsByteArrayAsync());
    }

    [Fact(Timeout = 60_000)]
    public async Task What_the_page_names_is_there_and_is_named_without_a_host_or_the_root()
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        var page = await server.Http.GetStringAsync("/");
        var named = Named().Matches(page).Select(match => match.Groups[1].Value).Where(name => !name.StartsWith('#')).ToList();
        Assert.Contains("page/app.js", named);
        Assert.All(named, name => Assert.DoesNotMatch("^/|:", name));
        foreach (var name in named.Distinct())
        {
            using var answer = await server.Http.GetAsync("/" + name);
            Assert.Equal((name, HttpStatusCode.OK), (name, answer.StatusCode));
        }

        Assert.DoesNotMatch(" (style|on[a-z]+)=", page); // the policy would forbid it
        var gallery = await File.ReadAllTextAsync(Path.Combine(Folder, "gallery.js"), TestContext.Current.CancellationToken);
        foreach (Match match in Example().Matches(gallery))
        {
            var name = match.Value.Replace("${index + 1}", "1", StringComparison.Ordinal);
            Assert.Equal(await File.ReadAllBytesAsync(RepositoryFiles.Path("models", "shapes", "examples", name)),
                await server.Http.GetByteArrayAsync($"/page/examples/{name}"));
        }
    }

    [Theory(Timeout = 60_000)]
    [InlineData("GET", "/page/none.js"), InlineData("GET", "/page/"), InlineData("GET", "/page"), InlineData("GET", "/index.html")]
    [InlineData("GET", "/page/../app.js"), InlineData("GET", "/page/%2e%2e/appsettings.json"), InlineData("GET", "/page/APP.JS")]
    public async Task Other_files_are_not_there(string method, string path)
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.NotFound, (await server.SendAsync(HttpMethod.Parse(method), path)).Status);
    }

    [Fact(Timeout = 60_000)]
    public async Task The_page_takes_nothing()
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, (await server.SendAsync(HttpMethod.Post, "/", "{}")).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await server.SendAsync(HttpMethod.Post, "/page/app.js", "{}")).Status);
    }

    [Fact(Timeout = 60_000)]
    public async Task The_page_is_off_where_its_option_says_so_and_never_on_the_gRPC_port()
    {
        await using (var off = await PortServer.StartAsync(
            new ScriptedModel(), TestContext.Current.CancellationToken, ("Doors:Page", "false")))
        {
            foreach (var path in new[] { "/", "/page/app.js", "/page/examples/new-word-query.png" })
                Assert.Equal((path, HttpStatusCode.NotFound), (path, (await off.SendAsync(HttpMethod.Get, path)).Status));
            Assert.Equal(HttpStatusCode.OK, (await off.SendAsync(HttpMethod.Get, "/flamingo/v1/model")).Status);
        }

        await using var on = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        using var grpc = new HttpClient { BaseAddress = new Uri(on.GrpcAddress) };
        (grpc.DefaultRequestVersion, grpc.DefaultVersionPolicy) = (HttpVersion.Version20, HttpVersionPolicy.RequestVersionExact);
        foreach (var path in new[] { "/", "/page/app.js" })
        {
            using var answer = await grpc.GetAsync(path);
            Assert.Equal((path, HttpStatusCode.NotFound), (path, answer.StatusCode));
        }
    }

    private static async Task<HttpResponseMessage> SendAsync(PortServer server, HttpMethod method, string path, EntityTagHeaderValue? known)
    {
        using var request = new HttpRequestMessage(method, path);
        if (known is not null) request.Headers.IfNoneMatch.Add(known);
        return await server.Http.SendAsync(request);
    }

    [GeneratedRegex("""(?:href|src)="([^"]+)"|url\(""")]
    private static partial Regex Named();

    [GeneratedRegex("[a-z0-9-]+(?:\\$\\{index \\+ 1\\})?\\.png")]
    private static partial Regex Example();
}
