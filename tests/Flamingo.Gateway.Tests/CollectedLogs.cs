using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Flamingo.Gateway.Tests;

internal sealed record LoggedEvent(string Category, LogLevel Level, EventId Id, string Text);

/// <summary>Collects log messages in a list.</summary>
internal sealed class CollectedLogs(ConcurrentQueue<LoggedEvent> logged) : ILoggerProvider
{
    public ILogger CreateLogger(string categoryName) => new Logger(categoryName, logged);

    public void Dispose()
    {
        // The test owns the list, so there is nothing to dispose.
    }

    private sealed class Logger(string category, ConcurrentQueue<LoggedEvent> logged) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel level, EventId id, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (!category.StartsWith("Flamingo.", StringComparison.Ordinal)) return;
            logged.Enqueue(new(category, level, id, formatter(state, exception)));
        }
    }
}
