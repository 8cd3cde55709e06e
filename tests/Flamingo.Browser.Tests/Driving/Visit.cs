using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using Flamingo.Testing;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Flamingo.Browser.Tests.Driving;

/// <summary>
/// The page in a browser that has no history, and what a user does there. A test ends with <see cref="EndAsync"/>, which checks that
/// the page reported no error and asked no other host.
/// </summary>
internal sealed class Visit : IAsyncDisposable
{
    private readonly ConcurrentQueue<string> _troubles = new(), _requests = new();
    private readonly string _origin;

    private Visit(IBrowserContext context, IPage page, string address)
    {
        (Context, Page, Address, _origin) = (context, page, address, new Uri(address).GetLeftPart(UriPartial.Authority) + "/");
        page.Console += (_, message) =>
        {
            if (message.Type is "error" or "warning") _troubles.Enqueue($"{message.Type}: {message.Text} at {message.Location}");
        };
        page.PageError += (_, error) => _troubles.Enqueue($"exception: {error}");
        context.Request += (_, request) => _requests.Enqueue(request.Url);
    }

    public IBrowserContext Context { get; }

    public IPage Page { get; }

    public string Address { get; }

    /// <summary>The addresses of all requests so far, those to the browser's own memory included.</summary>
    public IReadOnlyCollection<string> Requests => _requests;

    public ILocator Answer => Page.Locator("#answer");

    public ILocator Words => Page.Locator("#answer .word");

    public ILocator Examples => Page.Locator("#cards .card");

    public ILocator Question => Page.Locator("#query .card");

    public ILocator Problem => Page.Locator("#problem");

    /// <summary>Opens a page in a new context and waits until it knows the model.</summary>
    public static async Task<Visit> OpenAsync(BrowserFixture fixture, string address, BrowserNewContextOptions? options = null,
        bool isReady = true)
    {
        var context = await fixture.Require().NewContextAsync(options ?? new());
        var visit = new Visit(context, await context.NewPageAsync(), address);
        await visit.Page.GotoAsync(address);
        if (isReady) await visit.ReadyAsync();
        return visit;
    }

    public Task ReadyAsync() => Expect(Page.Locator("#model")).ToContainTextAsync("flamingo-shapes");

    /// <summary>
    /// A picture of the examples as a file that no server knows yet, because its bytes differ from those of all others in their tail,
    /// which decoders do not read.
    /// </summary>
    public static FilePayload Picture(string name, string? tail = null, string? called = null) => new()
    {
        Name = called ?? name, MimeType = "image/png",
        Buffer = [.. File.ReadAllBytes(Example(name)), .. tail is null ? [] : System.Text.Encoding.UTF8.GetBytes(tail)],
    };

    public static string Example(string name) => RepositoryFiles.Path("models", "shapes", "examples", name);

    /// <summary>Clicks a button of the gallery and waits for the whole answer.</summary>
    public async Task TryAsync(string title)
    {
        await Page.GetByRole(AriaRole.Button, new() { NameRegex = new Regex(title) }).ClickAsync();
        await AnsweredAsync();
    }

    public async Task AskAsync()
    {
        await Page.Locator("#ask").ClickAsync();
        await AnsweredAsync();
    }

    /// <summary>Waits until the page is done with what it does, and shows the report of an answer.</summary>
    public async Task AnsweredAsync()
    {
        await Expect(Page.Locator("#times dt").First).ToBeVisibleAsync();
        await IdleAsync();
    }

    public Task IdleAsync() => Expect(Page.Locator("#stop")).ToBeHiddenAsync();

    public async Task<string> AnswerTextAsync() => (await Answer.InnerTextAsync()).Trim();

    /// <summary>Opens a part of the page that is folded.</summary>
    public async Task UnfoldAsync(string id)
    {
        var details = Page.Locator($"#{id}");
        if (await details.GetAttributeAsync("open") is null) await details.Locator("summary").ClickAsync();
        await Expect(details).ToHaveAttributeAsync("open", "");
    }

    /// <summary>
    /// Lets the server write an answer of this many tokens. The request that the page sends is the same but for the number of tokens
    /// before which an answer may not end.
    /// </summary>
    public Task LongAnswersAsync(int tokens) => Page.RouteAsync("**/flamingo/v1/generate", route =>
    {
        var body = System.Text.Json.Nodes.JsonNode.Parse(route.Request.PostData!)!;
        (body["sampling"]!["minTokens"], body["sampling"]!["maxTokens"]) = (tokens, tokens);
        return route.ContinueAsync(new() { PostData = System.Text.Encoding.UTF8.GetBytes(body.ToJsonString()) });
    });

    /// <summary>Checks that nothing went wrong but what the test provoked.</summary>
    /// <param name="expected">
    /// Parts of messages of the console that must appear. The browser itself writes one there for every answer that is an error.
    /// </param>
    public async Task EndAsync(params string[] expected)
    {
        await Page.EvaluateAsync("() => new Promise(requestAnimationFrame)"); // messages so far have arrived
        var unexpected = _troubles.Where(trouble => !expected.Any(part => trouble.Contains(part, StringComparison.Ordinal)));
        Assert.True(!unexpected.Any(), string.Join('\n', unexpected));
        Assert.All(expected, part => Assert.Contains(_troubles, trouble => trouble.Contains(part, StringComparison.Ordinal)));
        Assert.All(_requests, request => Assert.True(
            request.StartsWith(_origin, StringComparison.Ordinal) || request.StartsWith("blob:" + _origin, StringComparison.Ordinal),
            $"The page asked {request}."));
    }

    public async ValueTask DisposeAsync() => await Context.CloseAsync();
}
