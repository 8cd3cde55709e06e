using System.Text.Json;
using Flamingo.Browser.Tests.Driving;
using Flamingo.Testing;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace Flamingo.Browser.Tests;

/// <summary>axe-core finds no violation of any of its rules, best practices included, in any state and look of the page.</summary>
public sealed class AccessibilityTests(BrowserFixture fixture, AccessibilityTests.Axe axe) : IClassFixture<AccessibilityTests.Axe>
{
    [Theory(Timeout = 120_000), InlineData("light"), InlineData("dark"), InlineData("phone")]
    public async Task Nothing_is_in_the_way_of_somebody_who_sees_or_moves_otherwise(string look)
    {
        var options = look == "phone" ? ReachTests.Phone : new() { ViewportSize = new() { Width = 1280, Height = 900 } };
        options.ColorScheme = look == "dark" ? ColorScheme.Dark : ColorScheme.Light;
        options.ReducedMotion = ReducedMotion.Reduce;
        fixture.Require();
        var source = await axe.Source.Value;
        await using var visit = await Visit.OpenAsync(fixture, fixture.Address, options);
        await CheckAsync(visit, source, "empty");
        await visit.TryAsync("Teach two new words");
        await CheckAsync(visit, source, "answered");
        await visit.Words.First.ClickAsync();
        await visit.Examples.First.Locator(".hide").ClickAsync();
        await visit.Page.Locator("details").EvaluateAllAsync<object?>("all => all.forEach(details => { details.open = true; })");
        await visit.Page.Locator("#rank-button").ClickAsync();
        await Expect(visit.Page.Locator("#ranking dt")).ToHaveCountAsync(2);
        await visit.IdleAsync();
        await visit.Page.Locator("#ladder-button").ClickAsync();
        await Expect(visit.Page.Locator("#steps dt")).ToHaveCountAsync(8);
        await visit.IdleAsync();
        await CheckAsync(visit, source, "everything open");

        await visit.TryAsync("Count");
        await CheckAsync(visit, source, "questions");
        await visit.TryAsync("Let the server pick");
        await Expect(visit.Page.Locator("#drawn-shots li")).ToHaveCountAsync(4);
        await visit.Page.Locator("#temperature").FillAsync("");
        await CheckAsync(visit, source, "picked");
        await visit.Page.Locator("#files").SetInputFilesAsync(
            new FilePayload { Name = "broken.png", MimeType = "image/png", Buffer = "no picture at all"u8.ToArray() });
        await visit.Page.Locator("#ask").ClickAsync();
        await Expect(visit.Page.Locator(".fault:visible")).ToHaveCountAsync(1);
        await visit.IdleAsync();
        await CheckAsync(visit, source, "an error");
        await visit.Page.Locator("#key-button").ClickAsync();
        await Expect(visit.Page.GetByRole(AriaRole.Dialog)).ToBeVisibleAsync();
        await CheckAsync(visit, source, "the dialog");
        await visit.EndAsync("400");
    }

    internal static async Task CheckAsync(Visit visit, string axe, string state)
    {
        await visit.Page.EvaluateAsync(axe);
        var violations = await visit.Page.EvaluateAsync<JsonElement>(
            """
            async () => (await axe.run(document, { resultTypes: ['violations'] })).violations
              .flatMap(one => one.nodes.map(node => `${one.id}: ${node.html.slice(0, 200)} ${node.failureSummary}`))
            """);
        Assert.True(violations.GetArrayLength() == 0, $"{state}:\n{string.Join('\n', violations.EnumerateArray())}");
    }

    /// <summary>The program of axe-core, which npm installs once into a temporary folder.</summary>
    public sealed class Axe
    {
        public Lazy<Task<string>> Source { get; } = new(ReadAsync);

        private static async Task<string> ReadAsync()
        {
            var npm = Programs.Require("npm");
            var folder = Directory.CreateTempSubdirectory("flamingo-axe-");
            try
            {
                RepositoryFiles.Copy(RepositoryFiles.Path("tests", "Flamingo.Browser.Tests", "Axe"), folder.FullName);
                (await ProgramRun.RunAsync(npm, ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"],
                    CancellationToken.None, folder.FullName)).MustReturn(0);
                return await File.ReadAllTextAsync(Path.Combine(folder.FullName, "node_modules", "axe-core", "axe.min.js"));
            }
            finally
            {
                folder.Delete(recursive: true);
            }
        }
    }
}
