using System.Text.Json.Nodes;
using Flamingo.Browser.Tests.Driving;
using Flamingo.Testing;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Flamingo.Browser.Tests;

/// <summary>
/// The page that <c>flamingo eval --results</c> writes, opened from the disk. Some of the episodes behind it try to be more than texts.
/// </summary>
public sealed class EvaluationReportTests(
    BrowserFixture fixture, AccessibilityTests.Axe axe, EvaluationReportTests.Run run)
    : IClassFixture<AccessibilityTests.Axe>, IClassFixture<EvaluationReportTests.Run>
{
    private const string Hostile = "</script><img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>";

    [Theory(Timeout = 180_000), InlineData("light"), InlineData("dark"), InlineData("phone")]
    public async Task The_page_asks_for_nothing_reports_no_error_and_is_in_nobodys_way(string look)
    {
        fixture.Require();
        var options = look == "phone" ? ReachTests.Phone : new() { ViewportSize = new() { Width = 1280, Height = 900 } };
        options.ColorScheme = look == "dark" ? ColorScheme.Dark : ColorScheme.Light;
        var address = new Uri(await run.Page.Value).AbsoluteUri;
        await using var visit = await Visit.OpenAsync(fixture, address, options, isReady: false);
        await Expect(visit.Page.Locator(".card").First).ToBeVisibleAsync();
        await visit.Page.Locator("details").EvaluateAllAsync<object?>("all => all.forEach(details => { details.open = true; })");
        Assert.True(await visit.Page.EvaluateAsync<bool>("document.documentElement.scrollWidth <= innerWidth"), "The page is too wide.");
        await AccessibilityTests.CheckAsync(visit, await axe.Source.Value, look);
        Assert.Equal([address], visit.Requests);
        await visit.EndAsync();
    }

    [Fact(Timeout = 180_000)]
    public async Task Answers_can_be_filtered_searched_and_paged_and_their_texts_stay_texts()
    {
        fixture.Require();
        await using var visit = await Visit.OpenAsync(fixture, new Uri(await run.Page.Value).AbsoluteUri, isReady: false);
        var (page, count, cards) = (visit.Page, visit.Page.Locator("#count"), visit.Page.Locator(".card"));
        await Expect(count).ToHaveTextAsync("26 answers"); // 6 questions, and 4 new words with 0, 1, 2, 4 and 8 shots
        await Expect(cards).ToHaveCountAsync(10);
        await page.GetByRole(AriaRole.Button, new() { Name = "Next" }).ClickAsync();
        await page.Keyboard.PressAsync("Enter"); // the button keeps the focus
        await Expect(page.Locator("#pages")).ToContainTextAsync("Page 3 of 3");
        await Expect(cards).ToHaveCountAsync(6);

        await page.GetByLabel("Number of examples", new() { Exact = true }).SelectOptionAsync("8");
        await Expect(count).ToHaveTextAsync("4 answers");
        await cards.First.Locator("summary").ClickAsync();
        await Expect(cards.First.Locator("li img")).ToHaveCountAsync(8);
        Assert.True(await page.EvaluateAsync<bool>("[...document.images].every(image => image.complete && image.naturalWidth > 0)"));

        await page.GetByLabel("Search for a text").FillAsync("WINDOW.HACKED");
        await Expect(count).ToHaveTextAsync("1 answer");
        await Expect(cards.First).ToContainTextAsync(Hostile);
        await page.GetByLabel("Search for a text").FillAsync("no such text");
        await Expect(count).ToHaveTextAsync("No answer fits.");
        Assert.True(await page.EvaluateAsync<bool>("window.hacked === undefined"));
        await visit.EndAsync();
    }

    /// <summary>A run of the command line on a few episodes of the shapes; the first new word's answer is hostile.</summary>
    public sealed class Run : IDisposable
    {
        private readonly string _folder = Directory.CreateTempSubdirectory("flamingo-report-").FullName;

        public Run() => Page = new(WriteAsync);

        /// <summary>The path of the page.</summary>
        public Lazy<Task<string>> Page { get; }

        public void Dispose() => Directory.Delete(_folder, recursive: true);

        private async Task<string> WriteAsync()
        {
            var shapes = RepositoryFiles.Path("tests", "reference", "shapes", "evaluation");
            var episodes = File.ReadLines(Path.Combine(shapes, "episodes.jsonl")).Select(line => JsonNode.Parse(line)!).ToList();
            JsonNode[] chosen = [.. Some("vqa", 6), .. Some("naming-object", 4)];
            chosen[^1]["answer"] = Hostile;
            File.WriteAllLines(Path.Combine(_folder, "episodes.jsonl"), chosen.Select(episode => episode.ToJsonString()));
            RepositoryFiles.Copy(Path.Combine(shapes, "pictures"), _folder);
            await Programs.FlamingoAsync(
                CancellationToken.None, "eval", "episodes", _folder, "--results", Path.Combine(_folder, "shapes.json"));
            return Path.Combine(_folder, "shapes.html");

            IEnumerable<JsonNode> Some(string task, int count) => episodes.Where(episode => (string)episode["task"]! == task).Take(count);
        }
    }
}
