using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.Browser.Tests.Driving;
using Flamingo.Testing;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Browser.Tests;

/// <summary>The request as code: what the button Copy puts into the clipboard is run, and prints what the page shows.</summary>
public sealed class SnippetTests(BrowserFixture fixture)
{
    // What shells, Python and C# each read otherwise than it stands there.
    private const string Nasty =
        """This is a jano; it's "so" $HOME ${HOME} $(id) `id` \ \n %s {0} {{x}} <|endofchunk|> <image> JSON é 😀 \u0041 ''' \" !""";

    private const string Key = "flm_0123456789abcdef_secret";

    private static readonly string[] Names = ["it's $HOME.png", "a \"b\" `id` \\ c.png", "-é😀 {0}.png", "plain.png"];

    private static readonly string[] Languages = ["curl", "python", "csharp"];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact(Timeout = 180_000)]
    public async Task Copied_programs_ask_the_same_and_print_the_same_as_the_page()
    {
        fixture.Require();
        await using var relay = await Relay.StartAsync(fixture.Server.HttpPort, "/", Cancellation);
        var folder = Directory.CreateTempSubdirectory("flamingo-snippets-").FullName;
        try
        {
            Case[] cases =
            [
                await CopyAsync(relay, folder, WriteAsync),
                await CopyAsync(relay, RepositoryFiles.Root, CountWithKeyAsync),
                await CopyAsync(relay, RepositoryFiles.Root, visit => visit.TryAsync("Let the server pick")),
            ];
            var programs = Directory.CreateDirectory(Path.Combine(folder, "programs")).FullName;
            var assemblies = await Programs.CompileAsync(programs, [.. cases.Select(one => one.Programs[2])], Cancellation);
            foreach (var (one, assembly) in cases.Zip(assemblies)) await RunAsync(relay, one, assembly);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // Puts pictures with difficult names and words on the page, and into the folder where the programs run.
    private static async Task WriteAsync(Visit visit, string folder)
    {
        string[] pictures = ["new-word-shot-1.png", "new-word-shot-2.png", "new-word-shot-3.png", "new-word-query.png"];
        var files = pictures.Zip(Names, (picture, name) => Visit.Picture(picture, "snippets", name)).ToList();
        foreach (var file in files) await File.WriteAllBytesAsync(Path.Combine(folder, file.Name), file.Buffer, Cancellation);
        await visit.Page.Locator("#files").SetInputFilesAsync(files);
        await visit.Examples.Nth(0).Locator("textarea").FillAsync(Nasty);
        await visit.Examples.Nth(1).Locator("textarea").FillAsync("This is a pilu\nin two lines");
        await visit.Examples.Nth(2).Locator("textarea").FillAsync("This is a jano");
        await visit.Question.Locator("textarea").FillAsync("This is a");
        await visit.AskAsync();
    }

    // This server asks for no key, and gets one.
    private static async Task CountWithKeyAsync(Visit visit)
    {
        await visit.Page.Locator("#key-button").ClickAsync();
        await visit.Page.Locator("#key").FillAsync(Key);
        await visit.Page.Keyboard.PressAsync("Enter");
        await Expect(visit.Page.GetByRole(AriaRole.Dialog)).ToBeHiddenAsync();
        await visit.TryAsync("Count");
    }

    private Task<Case> CopyAsync(Relay relay, string folder, Func<Visit, Task> ask) => CopyAsync(relay, folder, (visit, _) => ask(visit));

    private async Task<Case> CopyAsync(Relay relay, string folder, Func<Visit, string, Task> ask)
    {
        await using var visit = await Visit.OpenAsync(fixture, relay.Address);
        await visit.Context.GrantPermissionsAsync(["clipboard-read", "clipboard-write"]);
        relay.Requests.Clear();
        await ask(visit, folder);
        var asked = Asked(relay);
        await visit.UnfoldAsync("code");
        var programs = new List<string>();
        foreach (var language in Languages)
        {
            await visit.Page.Locator($"#tab-{language}").ClickAsync();
            await visit.Page.Locator("#copy").ClickAsync();
            await Expect(visit.Page.Locator("#copied")).ToContainTextAsync("Copied");
            programs.Add(await visit.Page.EvaluateAsync<string>("() => navigator.clipboard.readText()"));
        }

        var answer = await visit.AnswerTextAsync();
        Assert.NotEqual("", answer);
        await visit.EndAsync();
        return new(programs, folder, answer, asked);
    }

    private static async Task RunAsync(Relay relay, Case one, string assembly)
    {
        var run = await RunAsync("bash", "-euo", "pipefail", "-c", one.Programs[0]);
        var streamed = string.Concat(run.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => (string?)JsonNode.Parse(line)!["tokens"]?["text"]));
        Assert.Equal(one.Answer, streamed.Trim());
        Assert.Equal(one.Asked, Asked(relay));

        Assert.Equal(one.Answer, (await RunAsync(Programs.Require("python3"), "-c", one.Programs[1])).Trim());
        Assert.Equal(one.Asked, Asked(relay));

        Assert.Equal(one.Answer, (await RunAsync(Programs.Dotnet, assembly)).Trim());
        Assert.Equal(one.Asked, Asked(relay));

        async Task<string> RunAsync(string program, params string[] arguments)
        {
            relay.Requests.Clear();
            var environment = new Dictionary<string, string> { ["FLAMINGO_KEY"] = Key };
            return (await ProgramRun.RunAsync(program, arguments, Cancellation, one.Folder, environment)).MustReturn(0).Output;
        }
    }

    // The one prompt that the relay passed on, as the page's JSON or as gRPC-Web: texts, pictures' ids, the key.
    private static string Asked(Relay relay)
    {
        var request = Assert.Single(relay.Requests, request => request.Path.EndsWith("generate", StringComparison.OrdinalIgnoreCase));
        var parser = new Google.Protobuf.JsonParser(Google.Protobuf.JsonParser.Settings.Default);
        V1.GenerateRequest message;
        if (request.Path == "flamingo/v1/generate")
        {
            message = parser.Parse<V1.GenerateRequest>(System.Text.Encoding.UTF8.GetString(request.Body));
        }
        else
        {
            Assert.Equal(0, request.Body[0]); // not compressed
            var length = BinaryPrimitives.ReadInt32BigEndian(request.Body.AsSpan(1));
            message = V1.GenerateRequest.Parser.ParseFrom(request.Body.AsSpan(5, length));
        }

        return JsonSerializer.Serialize(new
        {
            segments = message.Segments.Select(segment => segment.Picture.Length > 0
                ? Flamingo.Abstractions.PictureId.Of(segment.Picture.Span) : segment.Text),
            message.Sampling.MaxTokens, message.Sampling.Temperature, stops = message.Sampling.StopStrings,
            set = message.SupportSet?.ToString(), key = request.Headers.Authorization.ToString(),
        });
    }

    private sealed record Case(IReadOnlyList<string> Programs, string Folder, string Answer, string Asked);
}
