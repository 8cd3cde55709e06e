using System.Globalization;
using System.Text.RegularExpressions;
using Flamingo.Browser.Tests.Driving;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Flamingo.Browser.Tests;

/// <summary>What a visitor does from the first picture to the last: ask, look, compare, hide, save, drop and paste.</summary>
public sealed partial class PathTests(BrowserFixture fixture)
{
    private static readonly string[] Taught = ["jano", "pilu", "jano", "pilu", "jano", "jano", "pilu", "pilu"];

    /// <summary>Titles in the gallery, and the command that asks the same.</summary>
    public static TheoryData<string, string[]> Gallery => new()
    {
        { "Teach two new words", ["generate", "--prompt", "models/shapes/examples/new-word.json"] },
        { "Describe a picture", ["caption", "models/shapes/examples/caption-query.png"] },
        { "Count", ["generate", "--prompt", "models/shapes/examples/vqa.json"] },
        { "Compare two pictures", ["generate", "--prompt", "models/shapes/examples/comparison.json"] },
        {
            "Let the server pick",
            [
                "generate", "--support-set", "new-words", "--select", "rices", "--shots", "4",
                "--picture", "models/shapes/examples/new-word-query.png", "This is a",
            ]
        },
    };

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact(Timeout = 120_000)]
    public async Task A_visitor_teaches_two_words_and_sees_what_the_model_made_of_them()
    {
        await using var visit = await Visit.OpenAsync(fixture, fixture.Address);
        await visit.Page.Locator("#files").SetInputFilesAsync(Enumerable.Range(1, 8)
            .Select(shot => Visit.Picture($"new-word-shot-{shot}.png", "path")).Append(Visit.Picture("new-word-query.png", "path")));
        await Expect(visit.Examples).ToHaveCountAsync(8);
        for (var shot = 0; shot < 8; shot++) await visit.Examples.Nth(shot).Locator("textarea").FillAsync($"This is a {Taught[shot]}");
        await visit.Question.Locator("textarea").FillAsync("This is a");
        await visit.AskAsync();
        Assert.Equal("pilu", await visit.AnswerTextAsync());

        // No server knew these pictures; then it knows them, and says what that saved.
        var states = visit.Page.Locator(".card .state");
        Assert.Equal(9, (await states.AllInnerTextsAsync()).Count(state => EncodedIn().IsMatch(state)));
        await visit.AskAsync();
        Assert.Equal("pilu", await visit.AnswerTextAsync());
        Assert.Equal(9, (await states.AllInnerTextsAsync()).Count(state => FromMemory().IsMatch(state)));
        await Expect(visit.Page.Locator("#cache")).ToContainTextAsync(new Regex("0 new pictures.* 9 known.* saved [0-9.]+ m?s"));
        var times = visit.Page.Locator("#times");
        Assert.Equal(6, await times.Locator("dt").CountAsync());
        Assert.All(await times.Locator(".value").AllInnerTextsAsync(), time => Assert.Matches("[0-9] m?s$", time));
        Assert.Equal(100, (await WidthsAsync(times)).Max(), 1.0);

        await LightAsync(visit);
        await CompareAsync(visit);
        await HideAsync(visit);
        await SaveAsync(visit);
        await visit.EndAsync();
    }

    [Theory(Timeout = 120_000), MemberData(nameof(Gallery))]
    public async Task An_example_starts_with_one_click_and_answers_as_the_command_line_does(string title, string[] command)
    {
        await using var visit = await Visit.OpenAsync(fixture, fixture.Address);
        await visit.TryAsync(title);
        var expected = await Programs.FlamingoAsync(
            Cancellation, [.. command, "--server", $"http://localhost:{fixture.Server.Target.Port}"]);
        Assert.Equal(expected.Split('\n')[0].Trim(), await visit.AnswerTextAsync());
        await Expect(visit.Words.First).ToBeVisibleAsync();
        if (command.Contains("--support-set"))
        {
            await Expect(visit.Page.Locator("#drawn-shots li")).ToHaveCountAsync(4);
            await Expect(visit.Page.Locator("#drawn-shots img")).ToHaveCountAsync(4);
        }

        await visit.EndAsync();
    }

    [Fact(Timeout = 60_000)]
    public async Task Clicks_in_a_hurry_count_once()
    {
        await using var visit = await Visit.OpenAsync(fixture, fixture.Address);
        await visit.Page.Locator("#gallery button").EvaluateAllAsync<object?>(
            "buttons => { buttons[2].click(); buttons[0].click(); buttons[0].click(); }");
        await visit.AnsweredAsync();
        await Expect(visit.Examples).ToHaveCountAsync(8);
        Assert.Equal("pilu", await visit.AnswerTextAsync());
        await visit.Page.Locator("#ask").EvaluateAsync("button => { button.click(); button.click(); }");
        await visit.AnsweredAsync();
        Assert.Equal("pilu", await visit.AnswerTextAsync());
        Assert.Equal(2, visit.Requests.Count(request => request.EndsWith("/generate", StringComparison.Ordinal)));
        await visit.EndAsync();
    }

    [Fact(Timeout = 60_000)]
    public async Task Pictures_are_dropped_and_pasted_and_other_files_are_refused()
    {
        await using var visit = await Visit.OpenAsync(fixture, fixture.Address);
        await HandOverAsync(visit, "drop", Visit.Picture("new-word-shot-1.png"), Visit.Picture("new-word-shot-2.png"));
        await Expect(visit.Examples).ToHaveCountAsync(1);
        await HandOverAsync(visit, "paste", Visit.Picture("new-word-query.png"));
        await Expect(visit.Examples).ToHaveCountAsync(2);
        await Expect(visit.Question.GetByRole(AriaRole.Img)).ToHaveAttributeAsync("alt", new Regex("new-word-query.png"));
        await Expect(visit.Problem).ToBeHiddenAsync();

        await HandOverAsync(visit, "drop", new FilePayload { Name = "a.txt", MimeType = "text/plain", Buffer = "no picture"u8.ToArray() });
        await Expect(visit.Problem).ToBeVisibleAsync();
        await Expect(visit.Examples).ToHaveCountAsync(2);

        await visit.Examples.Nth(0).Locator("textarea").FillAsync("This is a jano");
        await visit.Examples.Nth(1).Locator("textarea").FillAsync("This is a pilu");
        await visit.Question.Locator("textarea").FillAsync("This is a");
        await visit.AskAsync();
        Assert.Contains(await visit.AnswerTextAsync(), new[] { "jano", "pilu" });
        await visit.EndAsync();
    }

    // A click on a word lights the picture that it looked at, and darkens the others.
    private static async Task LightAsync(Visit visit)
    {
        await visit.Words.First.ClickAsync();
        await Expect(visit.Words.First).ToHaveAttributeAsync("aria-pressed", "true");
        await Expect(visit.Page.Locator("#word")).ToContainTextAsync("pilu");
        await Expect(visit.Question.Locator("canvas")).ToBeVisibleAsync();
        Assert.True(await ColorsAsync(visit.Question.Locator("canvas")) > 20, "The light is everywhere the same.");
        for (var shot = 0; shot < 8; shot++)
        {
            await Expect(visit.Examples.Nth(shot).Locator("canvas")).ToBeVisibleAsync();
            Assert.Equal(1, await ColorsAsync(visit.Examples.Nth(shot).Locator("canvas")));
        }

        await visit.Words.First.ClickAsync();
        await Expect(visit.Page.Locator(".card canvas:visible")).ToHaveCountAsync(0);
    }

    private static async Task CompareAsync(Visit visit)
    {
        await visit.UnfoldAsync("rank");
        await visit.Page.Locator("#candidates").FillAsync("jano\npilu\n\nsomething else\npilu");
        await visit.Page.Locator("#rank-button").ClickAsync();
        var ranking = visit.Page.Locator("#ranking");
        await Expect(ranking.Locator("dt")).ToHaveCountAsync(3);
        await Expect(ranking.Locator("dt").First).ToHaveTextAsync("pilu");
        var widths = await WidthsAsync(ranking);
        Assert.Equal(widths.OrderDescending(), widths);
        Assert.True(widths[0] > 50, $"{widths[0]}");
        await visit.IdleAsync();
    }

    private static async Task HideAsync(Visit visit)
    {
        await visit.UnfoldAsync("ladder");
        await visit.Page.Locator("#ladder-button").ClickAsync();
        var steps = visit.Page.Locator("#steps");
        await Expect(steps.Locator("dt")).ToHaveCountAsync(9);
        await visit.IdleAsync();
        await Expect(steps.Locator("dt").First).ToContainTextAsync("8 examples");
        await Expect(steps.Locator("dt").First).ToContainTextAsync("pilu");
        await Expect(steps.Locator("dt").Last).ToContainTextAsync("0 examples");
        var widths = await WidthsAsync(steps);
        Assert.True(widths[0] > 80 && widths[8] < 5, string.Join(' ', widths));
        await Expect(visit.Page.Locator(".card.hidden")).ToHaveCountAsync(0); // all are shown again

        // One that is hidden by hand is not sent.
        await visit.Examples.First.Locator(".hide").ClickAsync();
        await Expect(visit.Examples.First).ToHaveClassAsync(new Regex("hidden"));
        await visit.AskAsync();
        await Expect(visit.Page.Locator("#cache")).ToContainTextAsync("8 known");
        await visit.Examples.First.Locator(".hide").ClickAsync();
    }

    private static async Task SaveAsync(Visit visit)
    {
        var page = visit.Page;
        await visit.UnfoldAsync("sets");
        await page.Locator("#set-name").FillAsync("path-tests");
        await page.Locator("#save-set button").ClickAsync();
        await Expect(page.Locator("#set")).ToHaveValueAsync("path-tests");
        await Expect(page.Locator("#set-examples li")).ToHaveCountAsync(8);
        for (var left = 8; left > 0; left--) await visit.Examples.First.Locator(".remove").ClickAsync();
        await Expect(visit.Examples).ToHaveCountAsync(0);

        await page.Locator("#set").SelectOptionAsync("");
        await Expect(page.Locator("#set-examples li")).ToHaveCountAsync(0);
        await page.Locator("#set").SelectOptionAsync("path-tests");
        await page.Locator("#selection").SelectOptionAsync("SHOT_SELECTION_RICES");
        await page.Locator("#count").FillAsync("4");
        await visit.AskAsync();
        Assert.Equal("pilu", await visit.AnswerTextAsync());
        await Expect(page.Locator("#drawn-shots li")).ToHaveCountAsync(4);
        await Expect(page.Locator("#drawn-shots img")).ToHaveCountAsync(4);
        Assert.All(await page.Locator("#drawn-shots li").AllInnerTextsAsync(),
            text => Assert.Matches("^This is a (jano|pilu)$", text.Trim()));
        await visit.AskAsync(); // now by id
        Assert.Equal("pilu", await visit.AnswerTextAsync());
        await visit.Words.First.ClickAsync();
        await Expect(page.Locator("#drawn-shots canvas:visible")).ToHaveCountAsync(4);

        await page.Locator("#delete-set").ClickAsync();
        await Expect(page.Locator("#set option")).Not.ToContainTextAsync(["path-tests"]);
        await Expect(page.Locator("#set")).ToHaveValueAsync("");
        await Expect(page.Locator("#delete-set")).ToBeDisabledAsync();
    }

    private static Task HandOverAsync(Visit visit, string how, params FilePayload[] files) => visit.Page.EvaluateAsync(
        """
        ({ how, files }) => {
          const data = new DataTransfer();
          for (const { name, type, base64 } of files)
            data.items.add(new File([Uint8Array.from(atob(base64), one => one.charCodeAt(0))], name, { type }));
          const given = { bubbles: true, cancelable: true };
          document.body.dispatchEvent(how === 'drop'
            ? new DragEvent('drop', { ...given, dataTransfer: data }) : new ClipboardEvent('paste', { ...given, clipboardData: data }));
        }
        """,
        new
        {
            how,
            files = files.Select(file => new { name = file.Name, type = file.MimeType, base64 = Convert.ToBase64String(file.Buffer) })
                .ToArray(),
        });

    private static async Task<int> ColorsAsync(ILocator canvas) => await canvas.EvaluateAsync<int>(
        """
        canvas => {
          const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          return new Set(Array.from({ length: data.length / 4 }, (_, at) => data.slice(4 * at, 4 * at + 4).join())).size;
        }
        """);

    private static async Task<double[]> WidthsAsync(ILocator list) =>
    [
        .. (await list.Locator(".bar").EvaluateAllAsync<string[]>("bars => bars.map(bar => bar.style.width)"))
            .Select(width => double.Parse(width.TrimEnd('%'), CultureInfo.InvariantCulture)),
    ];

    [GeneratedRegex("encoded in [0-9.]+ m?s")]
    private static partial Regex EncodedIn();

    [GeneratedRegex("memory, saved [0-9.]+ m?s")]
    private static partial Regex FromMemory();
}
