using System.Diagnostics;
using System.Text.Json;
using Flamingo.Fixtures;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;
using Microsoft.Extensions.Options;

namespace Flamingo.ServiceDefaults.Tests;

/// <summary>The lines of a process's log, written as its console writes them.</summary>
public sealed partial class LogLinesTests
{
    [Theory]
    [InlineData("text"), InlineData("json")]
    public async Task A_line_of_a_request_holds_its_trace_id_and_another_line_holds_none(string format)
    {
        await using var app = App(format);
        using var request = new Activity("request").SetIdFormat(ActivityIdFormat.W3C).Start();
        var (trace, span) = (request.TraceId.ToString(), request.SpanId.ToString());
        var line = Log(app, logger => Slow(logger, "slow"));
        request.Stop();
        var other = Log(app, logger => Starts(logger));
        if (format == "text")
        {
            Assert.Equal($"warn: Flamingo.Test[17] It is slow. (trace {trace})\n", line);
            Assert.Equal("info: Flamingo.Test[18] It starts.\n", other);
            return;
        }

        var json = JsonDocument.Parse(line).RootElement;
        Assert.Equal(
            ("Warning", 17, "Flamingo.Test", "It is slow.", trace, span, "slow"),
            (Text("level"), json.GetProperty("event").GetInt32(), Text("category"), Text("message"), Text("trace_id"), Text("span_id"),
                json.GetProperty("fields").GetProperty("Kind").GetString()));
        Assert.False(JsonDocument.Parse(other).RootElement.TryGetProperty("trace_id", out _));

        string? Text(string name) => json.GetProperty(name).GetString();
    }

    [Fact]
    public async Task A_line_that_belongs_to_another_request_than_the_running_one_names_that_request()
    {
        await using var app = App("text");
        using var request = new Activity("request").SetIdFormat(ActivityIdFormat.W3C).Start();
        var line = Log(app, logger =>
        {
            using var scope = logger.BeginScope(
                new[] { KeyValuePair.Create<string, object?>("TraceId", "0af7651916cd43dd8448eb211c80319c") });
            Failed(logger);
        });
        Assert.Equal("fail: Flamingo.Test[19] The request failed. (trace 0af7651916cd43dd8448eb211c80319c)\n", line);
    }

    [Theory]
    [InlineData("text"), InlineData("json")]
    public async Task An_exception_and_a_text_of_several_lines_stay_on_one_line(string format)
    {
        await using var app = App(format);
        var line = Log(app, logger => Broke(logger, new InvalidOperationException("first\nsecond"), "a \"quote\""));
        Assert.Single(line.TrimEnd('\n').Split('\n'));
        if (format == "text") Assert.StartsWith("crit: Flamingo.Test[20] It broke: a \"quote\" System.Inv", line, StringComparison.Ordinal);
        else
            Assert.Contains(
                "first\nsecond", JsonDocument.Parse(line).RootElement.GetProperty("exception").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Another_format_is_refused_with_those_that_there_are()
    {
        var app = App("xml");
        var fault = Assert.Throws<OptionsValidationException>(app.CheckBeforeStart);
        Assert.Equal("Telemetry:LogFormat is 'xml'. Give text or json.", fault.Message);
    }

    [LoggerMessage(17, LogLevel.Warning, "It is {Kind}.")]
    private static partial void Slow(ILogger logger, string kind);

    [LoggerMessage(18, LogLevel.Information, "It starts.")]
    private static partial void Starts(ILogger logger);

    [LoggerMessage(19, LogLevel.Error, "The request failed.")]
    private static partial void Failed(ILogger logger);

    [LoggerMessage(20, LogLevel.Critical, "It broke:\n{Why}")]
    private static partial void Broke(ILogger logger, Exception exception, string why);

    private static WebApplication App(string format)
    {
        var builder = WebApplication.CreateBuilder();
        builder.Configuration.AddInMemoryCollection(
            [new("Endpoints:GrpcPort", $"{FreePort.Next()}"), new("Endpoints:Listen", "loopback"), new("Telemetry:LogFormat", format)]);
        builder.AddServiceDefaults();
        return builder.Build();
    }

    // Formats what is logged as the console does; only the console's own queue is left out.
    private static string Log(WebApplication app, Action<ILogger> log)
    {
        var console = app.Services.GetRequiredService<IOptions<ConsoleLoggerOptions>>().Value;
        var formatter = app.Services.GetServices<ConsoleFormatter>().Single(formatter => formatter.Name == console.FormatterName);
        var factory = app.Services.GetRequiredService<ILoggerFactory>();
        using var lines = new Lines(formatter);
        factory.AddProvider(lines);
        log(factory.CreateLogger("Flamingo.Test"));
        return lines.Written.ToString().ReplaceLineEndings("\n");
    }

    private sealed class Lines(ConsoleFormatter formatter) : ILoggerProvider, ISupportExternalScope, ILogger
    {
        private IExternalScopeProvider? _scopes;
        private bool _ended;

        public StringWriter Written { get; } = new();

        public void SetScopeProvider(IExternalScopeProvider scopeProvider) => _scopes = scopeProvider;

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => _scopes?.Push(state);

        public bool IsEnabled(LogLevel logLevel) => !_ended;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> write)
        {
            if (!_ended)
                formatter.Write(new LogEntry<TState>(logLevel, "Flamingo.Test", eventId, state, exception, write), _scopes, Written);
        }

        public void Dispose() => _ended = true;
    }
}
