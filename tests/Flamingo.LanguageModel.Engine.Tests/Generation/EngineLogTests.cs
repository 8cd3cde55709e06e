using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Generation;
using Flamingo.LanguageModel.Engine.Tests.Scripted;
using Microsoft.Extensions.Logging;

namespace Flamingo.LanguageModel.Engine.Tests.Generation;

/// <summary>The log messages of the engine, by the number of the event.</summary>
public sealed class EngineLogTests
{
    [Fact]
    public async Task A_full_queue_is_logged_once_and_so_is_its_end_with_the_number_of_refusals()
    {
        var engine = new SteppedEngine(limits: new EngineLimits(MaxQueued: 2, 16, 64, 64, 4));
        engine.Ask("abc");
        engine.Ask("abd");
        for (var refused = 0; refused < 3; refused++) Assert.Throws<FlamingoException>(() => engine.Ask("abe"));
        Assert.Equal([(LogLevel.Warning, 5101)], Logged(engine, 5101, 5102));
        await engine.RunAsync();
        Assert.Equal([(LogLevel.Warning, 5101), (LogLevel.Information, 5102)], Logged(engine, 5101, 5102));
        Assert.Contains("3 requests were refused", Message(engine, 5102), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_ordinary_request_is_logged_only_for_debugging()
    {
        var engine = new SteppedEngine();
        engine.Ask("abcaabca1");
        await engine.RunAsync();
        Assert.Equal([(LogLevel.Debug, 5103), (LogLevel.Debug, 5104)], Logged(engine));
        Assert.Contains(
            "9 prompt tokens, 0 of them cached, and 1 pictures, 1 of them to project", Message(engine, 5103), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Logits_that_are_not_finite_are_logged_with_their_reason()
    {
        var engine = new SteppedEngine();
        engine.Ask("abk"); // the scripted model's logits after a k are not finite
        engine.Ask("abc");
        await engine.RunAsync();
        Assert.Equal([(LogLevel.Warning, 5106)], Logged(engine, 5106));
        Assert.Contains("finite", Message(engine, 5106), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_step_that_fails_is_an_error_with_the_number_of_its_requests()
    {
        var engine = new SteppedEngine();
        engine.Ask("abc");
        engine.Ask("abd");
        engine.Runner.ChunksUntilFailure = 0;
        await engine.RunAsync();
        Assert.Equal([(LogLevel.Error, 5107)], Logged(engine, 5107));
        Assert.Contains("all 2 requests", Message(engine, 5107), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_cancelled_request_is_logged()
    {
        var engine = new SteppedEngine();
        var request = engine.Ask("abc");
        await engine.StepAsync();
        request.Request.Cancel();
        await engine.RunAsync();
        Assert.Equal([(LogLevel.Debug, 5105)], Logged(engine, 5105));
    }

    [Fact]
    public async Task A_pin_is_logged_when_it_begins_when_it_is_refused_and_when_it_ends()
    {
        var engine = new SteppedEngine(blocks: 32);
        engine.Ask("abcaabcaabcaabca", pin: TimeSpan.FromMinutes(1));
        await engine.RunAsync();
        // this tenant has pinned 4 of at most 8 blocks, and this prompt has 7 full blocks
        engine.Ask("cabacabacabacabacabacabacaba", pin: TimeSpan.FromMinutes(1));
        await engine.RunAsync();
        engine.Time.Advance(TimeSpan.FromMinutes(2));
        engine.Ask("a");
        await engine.RunAsync();
        Assert.Equal([(LogLevel.Debug, 5109), (LogLevel.Warning, 5108), (LogLevel.Information, 5110)], Logged(engine, 5108, 5109, 5110));
        Assert.Contains("1 pinned prefixes have expired. Their 4 blocks", Message(engine, 5110), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Pins_that_yield_are_logged()
    {
        var engine = new SteppedEngine(blocks: 8);
        engine.Ask("abcaabca", answer: 1, pin: TimeSpan.FromMinutes(1));
        await engine.RunAsync();
        engine.Ask("c", answer: 31, tenant: "another");
        await engine.RunAsync();
        Assert.Equal([(LogLevel.Information, 5113)], Logged(engine, 5113));
        Assert.Contains("1 pinned prefixes", Message(engine, 5113), StringComparison.Ordinal);
    }

    [Fact]
    public void A_stop_logs_the_requests_that_it_ends()
    {
        var engine = new SteppedEngine();
        engine.Ask("abc");
        engine.Engine.Stop();
        Assert.Equal([(LogLevel.Information, 5111)], Logged(engine, 5111));
        Assert.Contains("0 running and 1 waiting requests", Message(engine, 5111), StringComparison.Ordinal);
    }

    private static List<(LogLevel Level, int Event)> Logged(SteppedEngine engine, params int[] events) =>
        [.. engine.Log.Collector.GetSnapshot().Select(record => (record.Level, record.Id.Id))
            .Where(record => events.Length == 0 || events.Contains(record.Id))];

    private static string Message(SteppedEngine engine, int number) =>
        engine.Log.Collector.GetSnapshot().First(record => record.Id.Id == number).Message;
}
