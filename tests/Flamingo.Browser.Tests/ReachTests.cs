using System.Text.RegularExpressions;
using Flamingo.Browser.Tests.Driving;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Flamingo.Browser.Tests;

/// <summary>The page with a keyboard alone, and on a phone.</summary>
public sealed class ReachTests(BrowserFixture fixture)
{
    private const int ManyTokens = 1900;

    internal static BrowserNewContextOptions Phone => new()
    {
        ViewportSize = new() { Width = 390, Height = 844 }, DeviceScaleFactor = 2, IsMobile = true, HasTouch = true,
    };

    [Fact(Timeout = 120_000)]
    public async Task A_keyboard_is_enough_from_the_first_key_to_the_last()
    {
        await using var visit = await Visit.OpenAsync(fixture, fixture.Address);
        var (page, keys) = (visit.Page, visit.Page.Keyboard);
        await keys.PressAsync("Tab");
        await Expect(page.GetByRole(AriaRole.Link, new() { Name = "Skip to the answer" })).ToBeFocusedAsync();
        await keys.PressAsync("Enter");
        await Expect(page.Locator("#answer-panel")).ToBeFocusedAsync();

        await page.ReloadAsync();
        await visit.ReadyAsync();
        await TabToAsync(visit, page.GetByRole(AriaRole.Button, new() { NameRegex = new Regex("Teach two new words") }));
        await keys.PressAsync("Enter");
        await visit.AnsweredAsync();
        Assert.Equal("pilu", await visit.AnswerTextAsync());
        await FocusedAsync(visit);

        await TabToAsync(visit, visit.Words.First);
        await keys.PressAsync("Enter");
        await Expect(visit.Question.Locator("canvas")).ToBeVisibleAsync();
        await Expect(visit.Words.First).ToBeFocusedAsync();
        await keys.PressAsync(" ");
        await Expect(visit.Question.Locator("canvas")).ToBeHiddenAsync();

        await UnfoldAsync(visit, "ladder");
        await TabToAsync(visit, page.Locator("#ladder-button"));
        await keys.PressAsync("Enter");
        await Expect(page.Locator("#steps dt")).ToHaveCountAsync(9);
        await visit.IdleAsync();
        await FocusedAsync(visit);

        await UnfoldAsync(visit, "code");
        await TabToAsync(visit, page.Locator("#tab-curl"));
        await keys.PressAsync("ArrowRight");
        await Expect(page.Locator("#tab-csharp")).ToBeFocusedAsync();
        await Expect(page.Locator("#snippet")).ToContainTextAsync("using Flamingo.Client;");
        await keys.PressAsync("ArrowLeft");
        await keys.PressAsync("ArrowLeft");
        await Expect(page.Locator("#tab-python")).ToBeFocusedAsync();
        await Expect(page.Locator("#snippet")).ToContainTextAsync("import base64");
        await TabToAsync(visit, page.Locator("#copy"));

        await TabToAsync(visit, page.Locator("#key-button"));
        await keys.PressAsync("Enter");
        await Expect(page.Locator("#key")).ToBeFocusedAsync();
        await keys.PressAsync("Escape");
        await Expect(page.GetByRole(AriaRole.Dialog)).ToBeHiddenAsync();
        await Expect(page.Locator("#key-button")).ToBeFocusedAsync();
        await visit.EndAsync();
    }

    [Fact(Timeout = 120_000)]
    public async Task A_keyboard_asks_stops_and_removes_and_never_loses_its_place()
    {
        await using var visit = await Visit.OpenAsync(fixture, fixture.Address);
        var (page, keys) = (visit.Page, visit.Page.Keyboard);
        await visit.TryAsync("Teach two new words");
        await TabToAsync(visit, visit.Question.Locator("textarea"));
        await keys.PressAsync("Control+Enter");
        await visit.AnsweredAsync();
        await Expect(visit.Question.Locator("textarea")).ToBeFocusedAsync();
        await TabToAsync(visit, page.Locator("#ask"));
        await keys.PressAsync("Enter");
        await visit.AnsweredAsync();
        await FocusedAsync(visit);

        await visit.LongAnswersAsync(ManyTokens);
        await keys.PressAsync("Control+Enter");
        await Expect(visit.Words.Nth(3)).ToBeVisibleAsync();
        await keys.PressAsync("Escape");
        await visit.IdleAsync();
        await Expect(page.Locator("#progress")).ToContainTextAsync("Stopped");
        await FocusedAsync(visit);
        await TabToAsync(visit, page.Locator("#ask"));
        await keys.PressAsync("Enter");
        await visit.Words.Nth(3).FocusAsync();
        await Expect(visit.Words.Nth(await visit.Words.CountAsync() + 5)).ToBeVisibleAsync();
        await Expect(visit.Words.Nth(3)).ToBeFocusedAsync(); // though further words came
        await page.Locator("#ask").FocusAsync();
        await TabToAsync(visit, page.Locator("#stop"));
        await keys.PressAsync("Enter");
        await visit.IdleAsync();
        await FocusedAsync(visit);
        await Expect(page.Locator("#ask")).ToBeFocusedAsync();
        await page.UnrouteAllAsync();

        // Hidden, made the question, removed from the middle, from the end, and the last one of all.
        await TabToAsync(visit, visit.Examples.First.Locator(".hide"));
        await keys.PressAsync("Enter");
        await Expect(visit.Examples.First.Locator(".hide")).ToHaveAttributeAsync("aria-pressed", "true");
        await Expect(visit.Examples.First.Locator(".hide")).ToBeFocusedAsync();
        await TabToAsync(visit, visit.Examples.Nth(2).Locator(".last"));
        await keys.PressAsync("Enter");
        await Expect(visit.Question.GetByRole(AriaRole.Img)).ToHaveAttributeAsync("alt", new Regex("shot-3"));
        await FocusedAsync(visit);
        await TabToAsync(visit, visit.Examples.First.Locator(".remove"));
        for (var left = 8; left >= 0; left--)
        {
            await Expect(visit.Page.Locator(".card")).ToHaveCountAsync(left + 1);
            await keys.PressAsync("Enter");
            await Expect(visit.Page.Locator(".card")).ToHaveCountAsync(left);
            await FocusedAsync(visit);
        }

        await Expect(page.Locator("#files")).ToBeFocusedAsync();
        await visit.EndAsync();
    }

    [Fact(Timeout = 120_000)]
    public async Task A_phone_shows_everything_in_its_width()
    {
        await using var visit = await Visit.OpenAsync(fixture, fixture.Address, Phone);
        await WithinAsync(visit);
        await visit.TryAsync("Teach two new words");
        await WithinAsync(visit);
        await visit.Words.First.TapAsync();
        await Expect(visit.Question.Locator("canvas")).ToBeVisibleAsync();
        foreach (var details in new[] { "rank", "ladder", "code", "sets" }) await visit.UnfoldAsync(details);
        await visit.Page.Locator("#rank-button").TapAsync();
        await Expect(visit.Page.Locator("#ranking dt")).ToHaveCountAsync(2);
        await visit.IdleAsync();
        await visit.Page.Locator("#ladder-button").TapAsync();
        await Expect(visit.Page.Locator("#steps dt")).ToHaveCountAsync(9);
        await visit.IdleAsync();
        await WithinAsync(visit);
        await visit.TryAsync("Let the server pick");
        await Expect(visit.Page.Locator("#drawn-shots li")).ToHaveCountAsync(4);
        await WithinAsync(visit);

        // Everything that can be touched is in reach of a finger that scrolls down, or sideways in a list that scrolls.
        var controls = await visit.Page.Locator("button:visible, a:visible, select:visible, textarea:visible, summary:visible").AllAsync();
        Assert.InRange(controls.Count, 20, 200);
        foreach (var control in controls)
        {
            if (await control.GetAttributeAsync("class") == "skip") continue;
            await control.ScrollIntoViewIfNeededAsync();
            var box = (await control.BoundingBoxAsync())!;
            Assert.True(box.X >= 0 && box.X + box.Width <= 391, $"{await control.InnerTextAsync()}: {box.X} to {box.X + box.Width}");
        }

        await visit.Page.Locator("#key-button").TapAsync();
        await Expect(visit.Page.GetByRole(AriaRole.Dialog)).ToBeVisibleAsync();
        await WithinAsync(visit);
        await visit.EndAsync();
    }

    private static async Task WithinAsync(Visit visit) => Assert.Equal(390,
        await visit.Page.EvaluateAsync<int>("() => Math.max(innerWidth, document.documentElement.scrollWidth, document.body.scrollWidth)"));

    private static async Task UnfoldAsync(Visit visit, string id)
    {
        await TabToAsync(visit, visit.Page.Locator($"#{id} summary"));
        await visit.Page.Keyboard.PressAsync("Enter");
        await Expect(visit.Page.Locator($"#{id}")).ToHaveAttributeAsync("open", "");
    }

    // Presses Tab until an element has the focus. Every element on the way must show that it has it.
    private static async Task TabToAsync(Visit visit, ILocator target)
    {
        await Expect(target).ToBeVisibleAsync();
        for (var pressed = 0; pressed < 150; pressed++)
        {
            if (await target.EvaluateAsync<bool>("element => element === document.activeElement")) return;
            await visit.Page.Keyboard.PressAsync("Tab");
            var hidden = await visit.Page.EvaluateAsync<string>(
                """
                () => {
                  const element = document.activeElement;
                  if (element === document.body) return ''; // the browser's own buttons
                  const shown = element.matches('input[type=file]') ? element.labels[0] : element;
                  const style = getComputedStyle(shown);
                  const box = shown.getBoundingClientRect();
                  const isInside = box.width > 0 && box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight;
                  const isShown = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
                  return isShown && isInside ? '' : element.outerHTML.slice(0, 200);
                }
                """);
            Assert.Equal("", hidden);
        }

        Assert.Fail($"Tab never reaches {target}.");
    }

    private static async Task FocusedAsync(Visit visit) =>
        Assert.NotEqual("BODY", await visit.Page.EvaluateAsync<string>("() => document.activeElement.tagName"));
}
