using System.Diagnostics;
using System.Text.RegularExpressions;
using Flamingo.Abstractions;
using Flamingo.Browser.Tests.Driving;
using Flamingo.Client;
using Flamingo.Fixtures.Attacks;
using Flamingo.Testing;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Flamingo.Browser.Tests;

/// <summary>What goes wrong is said where it belongs, and the page goes on. Stop ends an answer here and on the server.</summary>
public sealed class ErrorTests(BrowserFixture fixture, ErrorTests.SmallServer small) : IClassFixture<ErrorTests.SmallServer>
{
    private const int ManyTokens = 1900;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact(Timeout = 60_000)]
    public async Task A_picture_that_is_none_is_named_on_its_own_card()
    {
        await using var visit = await Visit.OpenAsync(fixture, fixture.Address);
        var broken = new FilePayload { Name = "broken.png", MimeType = "image/png", Buffer = "no picture at all"u8.ToArray() };
        await visit.Page.Locator("#files").SetInputFilesAsync(
            [Visit.Picture("new-word-shot-1.png"), broken, Visit.Picture("new-word-query.png")]);
        await visit.Examples.Nth(0).Locator("textarea").FillAsync("This is a jano");
        await visit.Question.Locator("textarea").FillAsync("This is a");
        await visit.Page.Locator("#ask").ClickAsync();
        await Expect(visit.Examples.Nth(1).Locator(".fault")).ToBeVisibleAsync();
        await Expect(visit.Problem).ToBeVisibleAsync();
        await Expect(visit.Page.Locator(".fault:visible")).ToHaveCountAsync(1);

        await visit.Examples.Nth(1).Locator(".remove").ClickAsync();
        await visit.AskAsync();
        Assert.Equal("jano", await visit.AnswerTextAsync());
        await Expect(visit.Problem).ToBeHiddenAsync();
        await Expect(visit.Page.Locator(".fault:visible")).ToHaveCountAsync(0);
        await visit.EndAsync("400");
    }

    [Fact(Timeout = 60_000)]
    public async Task A_server_that_cannot_be_reached_is_waited_for()
    {
        await using var way = FaultyProxy.Start(fixture.Server.HttpPort);
        await using var visit = await Visit.OpenAsync(fixture, $"http://localhost:{way.Port}/");
        await visit.TryAsync("Teach two new words");
        way.Become(ProxyFault.Killed);
        await visit.Page.Locator("#ask").ClickAsync();
        await Expect(visit.Problem).ToContainTextAsync("cannot be reached");
        await visit.IdleAsync();
        await Expect(visit.Examples).ToHaveCountAsync(8);

        way.Become(ProxyFault.None);
        await visit.AskAsync();
        Assert.Equal("pilu", await visit.AnswerTextAsync());
        await Expect(visit.Problem).ToBeHiddenAsync();

        // The connection breaks in the middle of an answer.
        await visit.LongAnswersAsync(ManyTokens);
        await visit.Page.Locator("#ask").ClickAsync();
        await Expect(visit.Words.Nth(2)).ToBeVisibleAsync();
        way.Become(ProxyFault.Killed);
        await Expect(visit.Problem).ToContainTextAsync("before the answer was complete");
        await visit.IdleAsync();
        await Expect(visit.Words.Nth(2)).ToBeVisibleAsync(); // what came stays
        await visit.EndAsync("net::ERR_");
    }

    [Fact(Timeout = 60_000)]
    public async Task A_page_that_finds_no_server_says_so_and_does_not_ask_by_itself()
    {
        await using var visit = await Visit.OpenAsync(fixture, fixture.Address);
        await visit.Page.RouteAsync("**/flamingo/v1/**", route => route.AbortAsync("connectionrefused"));
        await visit.Page.ReloadAsync();
        await Expect(visit.Problem).ToContainTextAsync("cannot be reached");
        await visit.EndAsync("net::ERR_CONNECTION_REFUSED");
    }

    [Fact(Timeout = 60_000)]
    public async Task Pictures_that_the_server_has_lost_are_sent_again()
    {
        await using var visit = await Visit.OpenAsync(fixture, small.Address);
        await visit.TryAsync("Teach two new words");
        using var http = new HttpClient();
        using var cleared = await http.PostAsync(new Uri(new Uri(small.Address), "flamingo/v1/latent-cache:clear"), null, Cancellation);
        Assert.True(cleared.IsSuccessStatusCode, await cleared.Content.ReadAsStringAsync(Cancellation));
        await visit.AskAsync();
        Assert.Equal("pilu", await visit.AnswerTextAsync());
        await Expect(visit.Problem).ToBeHiddenAsync();
        await Expect(visit.Page.Locator(".card .state").GetByText("encoded in")).ToHaveCountAsync(9);
        await visit.EndAsync("404");
    }

    [Fact(Timeout = 120_000)]
    public async Task Stop_ends_an_answer_here_and_on_the_server_whose_refusal_others_saw_meanwhile()
    {
        await using var visit = await Visit.OpenAsync(fixture, small.Address);
        await using var other = await Visit.OpenAsync(fixture, small.Address);
        await visit.LongAnswersAsync(ManyTokens);
        var clock = Stopwatch.StartNew();
        await visit.Page.GetByRole(AriaRole.Button, new() { NameRegex = new Regex("Describe a picture") }).ClickAsync();
        await Expect(visit.Words.Nth(20)).ToBeVisibleAsync();

        // The server has one place and no queue.
        await other.Page.GetByRole(AriaRole.Button, new() { NameRegex = new Regex("Describe a picture") }).ClickAsync();
        await Expect(other.Problem).ToContainTextAsync(new Regex("Try again in [0-9]+ second"));
        await other.IdleAsync();

        await visit.Page.Locator("#stop").ClickAsync();
        await visit.IdleAsync();
        var words = await visit.Words.CountAsync();
        var rest = clock.Elapsed / words * (ManyTokens - words); // more or less what the rest of the answer would have taken
        clock.Restart();
        Assert.InRange(words, 20, ManyTokens / 2);
        await Expect(visit.Page.Locator("#progress")).ToContainTextAsync("Stopped");
        await Expect(visit.Problem).ToBeHiddenAsync();
        using (var client = new FlamingoClient($"http://localhost:{small.Server.Target.Port}"))
            await AdmittedAsync(client);
        Assert.True(clock.Elapsed < rest / 2, $"The place was free after {clock.Elapsed}; the whole rest would have taken {rest}.");

        await other.AskAsync();
        Assert.StartsWith("a large white star", await other.AnswerTextAsync(), StringComparison.Ordinal);
        await visit.Page.UnrouteAllAsync();
        await visit.AskAsync();
        Assert.Equal(await other.AnswerTextAsync(), await visit.AnswerTextAsync());
        await visit.EndAsync();
        await other.EndAsync("429");
    }

    private static async Task AdmittedAsync(FlamingoClient client)
    {
        while (true)
        {
            try
            {
                await client.CompleteAsync(new Prompt().Text("a"), new SamplingParameters { MaxTokens = 1 }, Cancellation);
                return;
            }
            catch (FlamingoException exception) when (exception.Kind == FlamingoErrorKind.Overloaded)
            {
                await Task.Delay(20, Cancellation);
            }
        }
    }

    /// <summary>A server that answers one request at a time and lets none wait.</summary>
    public sealed class SmallServer(BrowserFixture fixture) : IAsyncLifetime
    {
        private AttackServer? _server;

        public AttackServer Server => _server ?? fixture.Server;

        public string Address => $"http://localhost:{Server.HttpPort}/";

        public async ValueTask InitializeAsync()
        {
            if (!fixture.IsThere) return;
            _server = await BrowserFixture.ServeAsync(CancellationToken.None,
                ("Gateway:MaxConcurrentRequests", "1"), ("Gateway:MaxQueuedRequests", "0"));
        }

        public async ValueTask DisposeAsync()
        {
            if (_server is not null) await _server.DisposeAsync();
        }
    }
}
