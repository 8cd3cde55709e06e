using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Flamingo.Gateway.Doors.Tests.Ports;

namespace Flamingo.Gateway.Doors.Tests.OpenApi;

/// <summary>The OpenAPI document is complete and whole, says what the protos say, and the page that shows it asks no other host.</summary>
public sealed partial class OpenApiTests
{
    [Fact(Timeout = 60_000)]
    public async Task Every_method_is_described_with_its_comment()
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        var answer = await server.SendAsync(HttpMethod.Get, "/openapi/v1.json");
        Assert.Equal("application/json", answer.Response.Content.Headers.ContentType?.MediaType);
        var document = JsonNode.Parse(answer.Text)!;
        var operations = document["paths"]!.AsObject()
            .SelectMany(path => path.Value!.AsObject().Select(one => (one.Key, path.Key, one.Value))).ToList();
        Assert.Superset(
            new HashSet<string>
            {
                "post /flamingo/v1/generate", "post /flamingo/v1/rank", "post /flamingo/v1/encode", "get /flamingo/v1/model",
                "post /flamingo/v1/caption", "post /flamingo/v1/answer", "post /flamingo/v1/classify", "post /flamingo/v1/chat",
                "put /flamingo/v1/support-sets/{name}", "get /flamingo/v1/support-sets/{name}", "get /flamingo/v1/support-sets",
                "delete /flamingo/v1/support-sets/{name}", "get /flamingo/v1/latent-cache", "post /flamingo/v1/latent-cache:clear",
            },
            operations.Select(one => $"{one.Item1} {one.Item2}").ToHashSet());
        Assert.StartsWith("Streams the answer:", Text(document["paths"]!["/flamingo/v1/generate"]!["post"]!["description"]),
            StringComparison.Ordinal);
        Assert.StartsWith("The public service.", Text(document["tags"]![0]!["description"]), StringComparison.Ordinal);
        var segment = document["components"]!["schemas"]!["flamingo.v1.PromptSegment"]!["properties"]!;
        Assert.Equal("byte", Text(segment["picture"]!["format"]));
        Assert.Contains("Only one of text, picture, pictureId, video", Text(segment["picture"]!["description"]), StringComparison.Ordinal);
        Assert.Contains("SHOT_SELECTION_RICES: RICES",
            Text(document["components"]!["schemas"]!["flamingo.v1.ShotSelection"]!["description"]), StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task Every_reference_leads_somewhere()
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        var answer = await server.SendAsync(HttpMethod.Get, "/openapi/v1.json");
        var schemas = JsonNode.Parse(answer.Text)!["components"]!["schemas"]!.AsObject();
        var references = Reference().Matches(answer.Text).Select(match => match.Groups[1].Value).ToHashSet();
        Assert.Empty(references.Except(schemas.Select(schema => schema.Key)));
        Assert.Empty(schemas.Select(schema => schema.Key).Except(references));
    }

    [Fact(Timeout = 60_000)]
    public async Task The_page_and_its_program_come_from_this_server()
    {
        await using var server = await PortServer.StartAsync(new ScriptedModel(), TestContext.Current.CancellationToken);
        var page = await server.SendAsync(HttpMethod.Get, "/openapi");
        Assert.Equal("text/html", page.Response.Content.Headers.ContentType?.MediaType);
        Assert.Contains("openapi/v1.json", page.Text, StringComparison.Ordinal);
        // The program of the page names other hosts; the browser may not ask them.
        Assert.Equal("default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:", page.Header("content-security-policy"));
        Assert.DoesNotContain("http://", page.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("https://", page.Text, StringComparison.Ordinal);
        var scripts = Script().Matches(page.Text).Select(match => match.Groups[1].Value).ToList();
        Assert.NotEmpty(scripts);
        foreach (var script in scripts)
        {
            var address = new Uri(page.Response.RequestMessage!.RequestUri!, script);
            using var program = await server.Http.GetAsync(address);
            Assert.True(program.IsSuccessStatusCode, script);
            Assert.Equal("text/javascript", program.Content.Headers.ContentType?.MediaType);
        }
    }

    private static string Text(JsonNode? node) => node!.GetValue<string>();

    [GeneratedRegex("#/components/schemas/([^\"]+)\"")]
    private static partial Regex Reference();

    [GeneratedRegex("""(?:src=|from |import\()["']([^"']+)["']""")]
    private static partial Regex Script();
}
